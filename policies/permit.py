"""The proof that the gate said yes. The vault opens nothing without one."""

from typing import Any, Never, Self
from uuid import UUID

from policies.vocabulary import Action, ResourceType


class Permit:
    """This subject may do this action to these rows of this patient; the event `event_id` says so in the trail.

    A value: nothing in it changes. Only `policies.issue.issue` makes one, and only the gate may import that.
    """

    __slots__ = (
        "action", "event_id", "patient_id", "policy_version",
        "resource_type", "row_ids", "rule_id", "subject_id",
    )  # fmt: skip

    subject_id: UUID
    action: Action
    resource_type: ResourceType
    patient_id: UUID | None
    row_ids: frozenset[UUID]
    event_id: UUID
    policy_version: int
    rule_id: str

    def __new__(cls, *_: object, **__: object) -> Self:
        raise TypeError("the gate makes permits")

    def __init_subclass__(cls) -> None:
        raise TypeError("the gate makes permits")

    def __setattr__(self, name: str, value: object) -> Never:
        raise TypeError("a permit does not change")

    def __delattr__(self, name: str) -> Never:
        raise TypeError("a permit does not change")

    def __reduce_ex__(self, protocol: Any) -> Never:
        """Refuse pickle and copy: a permit does not outlive the request it was made for."""
        raise TypeError("a permit is not copied")

    def covers(self, row_id: UUID, patient_id: UUID) -> bool:
        """Tell whether the row, of that patient, is one this permit was made for."""
        if self.patient_id is None:
            return False
        return row_id in self.row_ids and patient_id == self.patient_id

    def __repr__(self) -> str:
        return f"permit {self.event_id}"
