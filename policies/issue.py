"""Make permits. The gate (`records.access`) alone may import this module; a contract sees to it."""

from uuid import UUID

from policies.permit import Permit
from policies.vocabulary import Action, ResourceType


def issue(
    *,
    subject_id: UUID,
    action: Action,
    resource_type: ResourceType,
    patient_id: UUID | None,
    row_ids: frozenset[UUID],
    event_id: UUID,
    policy_version: int,
    rule_id: str,
) -> Permit:
    """Return a permit for what was decided and has been written to the trail as `event_id`."""
    fields = {
        "subject_id": subject_id,
        "action": action,
        "resource_type": resource_type,
        "patient_id": patient_id,
        "row_ids": frozenset(row_ids),
        "event_id": event_id,
        "policy_version": policy_version,
        "rule_id": rule_id,
    }
    permit = object.__new__(Permit)
    for name, value in fields.items():
        object.__setattr__(permit, name, value)
    return permit
