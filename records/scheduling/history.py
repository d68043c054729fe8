"""The history of an appointment: how it was booked, and every change since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import bindparam

from core.crypto.envelope import Value
from core.database import Query
from core.ids import new_id
from policies.facts import CLOCKWORK
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.scheduling.models import Act, Appointment, AppointmentChange
from records.scheduling.reading import resource_of, selected
from records.vault.vault import sealed_rows

_visit, _change = table_of(Appointment).c, table_of(AppointmentChange).c
_ID: Final = bindparam("appointment_id", type_=PGUUID())
_ONE: Final = Query(selected(_visit.created_by).where(_visit.id == _ID))
_PLAIN: Final = (
    "number", "act", "from_status", "to_status", "from_start", "from_end", "to_start", "to_end",
    "from_doctor_id", "to_doctor_id", "from_location_id", "to_location_id", "reason_code", "changed_by", "changed_at",
)  # fmt: skip
_ALL: Final = Query(
    sealed_rows(AppointmentChange, *(_change[name] for name in _PLAIN))
    .where(_change.appointment_id == _ID)
    .order_by(_change.number)
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `by` is an account, or None where the clinic's own clockwork did it."""

    version: int
    act: str
    from_status: str | None
    to_status: str
    start: datetime
    end: datetime
    doctor_id: UUID
    location_id: UUID | None
    reason_code: str | None
    note: Value | None
    by: UUID | None
    at: datetime


async def read_history(clinic: Clinic, me: Me, appointment_id: UUID) -> Sequence[Step]:
    """Return every step of an appointment, oldest first, or raise NotFound."""
    visit = await clinic.database.one(_ONE, appointment_id=appointment_id, **asking(me))
    if visit is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.APPOINTMENT, appointment_id)
    permit = await clinic.gate.read(me, Action.READ, resource_of(visit))
    rows = await clinic.database.all(_ALL, appointment_id=appointment_id)
    steps = [_step(row, await clinic.reveal(me, permit, AppointmentChange, row)) for row in rows]
    return [_beginning(visit, rows), *steps]


async def write_down(
    session: Executor,
    clinic: Clinic,
    permit: Permit,
    act: Act,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    note: str | None = None,
) -> None:
    """Add a step: the images of the row before and after it, and a sealed word about why."""
    change_id, cells = new_id(), dict[str, Any]()
    if note:
        key = await clinic.key(before)
        cells = clinic.vault.seal(permit, AppointmentChange, key, change_id, note=note)
    step = AppointmentChange(
        id=change_id,
        patient_id=before["patient_id"],
        key_id=before["key_id"],
        appointment_id=before["row_id"],
        number=after["version"],
        act=act,
        from_status=before["status"],
        to_status=after["status"],
        from_start=before["starts_at"],
        from_end=before["ends_at"],
        to_start=after["starts_at"],
        to_end=after["ends_at"],
        from_doctor_id=before["doctor_id"],
        to_doctor_id=after["doctor_id"],
        from_location_id=before["location_id"],
        to_location_id=after["location_id"],
        reason_code=after["cancellation_reason"],
        changed_by=None if permit.subject_id == CLOCKWORK.id else permit.subject_id,
        **cells,
    )
    await add(session, step)


def _beginning(visit: Any, changes: Sequence[Any]) -> Step:
    """Return the booking itself, which the row and the first change tell together."""
    first = visit
    if changes:
        parts = {"status": "status", "starts_at": "start", "ends_at": "end"}
        parts |= {name: name for name in ("doctor_id", "location_id")}
        first = {name: changes[0][f"from_{part}"] for name, part in parts.items()}
    return Step(
        version=1,
        act="book",
        from_status=None,
        to_status=first["status"],
        start=first["starts_at"],
        end=first["ends_at"],
        doctor_id=first["doctor_id"],
        location_id=first["location_id"],
        reason_code=None,
        note=None,
        by=visit["created_by"],
        at=visit["created_at"],
    )


def _step(row: Any, phi: dict[str, Value | None]) -> Step:
    return Step(
        version=row["number"],
        act=row["act"],
        from_status=row["from_status"],
        to_status=row["to_status"],
        start=row["to_start"],
        end=row["to_end"],
        doctor_id=row["to_doctor_id"],
        location_id=row["to_location_id"],
        reason_code=row["reason_code"],
        note=phi["note"],
        by=row["changed_by"],
        at=row["changed_at"],
    )
