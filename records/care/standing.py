"""A patient's facts for acts on what hangs on a patient: who treats, what is allowed, who stands in."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from core.errors import Conflict, FieldError, Invalid
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking
from records.base import Executor, Row, add
from records.clinic import Clinic
from records.people.models import Patient
from records.people.reading import FACTS, OF_PERSON, patient_in_sight, resource_of
from records.vault.vault import sealed_rows

_WHOM: Final = sealed_rows(Patient, *FACTS).where(OF_PERSON)


async def whom(
    session: Executor, clinic: Clinic, me: Me, action: Action, patient_id: UUID
) -> Mapping[str, Any]:
    """Return a patient's row with key and facts; NotFound when there is none."""
    found = await session.execute(_WHOM, {"patient_id": patient_id, **asking(me)})
    row: Mapping[str, Any] | None = found.mappings().first()
    if row is None:
        await clinic.gate.absent(me, action, ResourceType.PATIENT, patient_id)
    return row


async def allow(
    session: Executor,
    clinic: Clinic,
    me: Me,
    action: Action,
    kind: ResourceType,
    patient_id: UUID,
    row_id: UUID,
) -> None:
    """Let something that hangs on a patient be written; NotFound for a patient out of sight."""
    within = resource_of(await whom(session, clinic, me, action, patient_id))
    resource = replace(within, type=kind, id=row_id)
    await clinic.gate.write(session, me, action, resource, within=within)


async def allow_reading(clinic: Clinic, me: Me, kind: ResourceType, patient_id: UUID) -> None:
    """Let what hangs on a patient be listed, and note it; NotFound for a patient out of sight."""
    patient = await patient_in_sight(clinic, me, patient_id)
    await clinic.gate.read(me, Action.SEARCH, replace(patient, type=kind))


async def keep(session: Executor, row: Row) -> None:
    """Insert a row; Invalid when it names a doctor or an account that is not there."""
    try:
        await add(session, row)
    except Conflict as conflict:
        column = conflict.code.removeprefix(f"fk-{row.__tablename__}-".replace("_", "-"))
        if column == conflict.code:
            raise
        pointer = f"/{column.replace('-', '_')}"
        raise Invalid(errors=[FieldError(pointer, "unknown", "there is none")]) from None
