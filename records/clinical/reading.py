"""Reading medical records: one SELECT for the row, the facts and the wrapped key; then gate, then vault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import Select, and_, bindparam, or_

from core.crypto.envelope import Value
from core.database import Query
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import DOCTOR, asking, in_care_team, own_appointment
from records.base import table_of
from records.clinic import Clinic
from records.clinical.models import Record, RecordVersion
from records.people.reading import patient_in_sight
from records.scheduling.models import Appointment
from records.vault.vault import sealed_rows

_record, _version, _visit = table_of(Record).c, table_of(RecordVersion).c, table_of(Appointment).c
_treats: Final = own_appointment(_record.patient_id)
_COLUMNS: Final = {
    "id": _record.id,
    "patient_id": _record.patient_id,
    "author_id": _record.author_id,
    "doctor_id": _visit.doctor_id,
    "status": _record.status,
    "kind": _record.kind,
    "sensitivity": _record.sensitivity,
    "in_care_team": in_care_team(_record.patient_id),
    "own_appointment": or_(and_(DOCTOR.is_not(None), _visit.doctor_id == DOCTOR), _treats),
}
"""What a rule may ask of a record, as SQL: columns of a read and terms of a list's WHERE alike."""


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """A record as its reader sees it. `content` is what was written: an object of the record's kind."""

    id: UUID
    patient_id: UUID
    appointment_id: UUID
    author_id: UUID
    kind: str
    status: str
    sensitivity: str
    version: int
    title: Value | None
    content: Value | None
    written_at: datetime
    created_at: datetime


def _select() -> Select[Any]:
    facts = [c.label(name) for name, c in _COLUMNS.items() if name not in ("id", "patient_id")]
    head = [_record.appointment_id, _record.version, _record.created_at, _version.written_at]
    current = and_(_record.id == _version.record_id, _record.version == _version.number)
    return (
        sealed_rows(RecordVersion, *head, *facts)
        .join(Record, current)
        .join(Appointment, _visit.id == _record.appointment_id)
    )


_ONE: Final = Query(_select().where(_record.id == bindparam("record_id", type_=PGUUID())))


async def read_record(clinic: Clinic, me: Me, record_id: UUID) -> OpenRecord:
    """Return one record, or raise NotFound alike for what is hidden and what is not there."""
    row = await clinic.database.one(_ONE, record_id=record_id, **asking(me))
    if row is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.RECORD, record_id)
    permit = await clinic.gate.read(me, Action.READ, resource_of(row))
    return _opened(row, await clinic.reveal(me, permit, RecordVersion, row))


async def list_records(
    clinic: Clinic, me: Me, patient_id: UUID, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[OpenRecord], UUID | None]:
    """Return a patient's records that the caller may read, newest first, and where the next page starts."""
    await patient_in_sight(clinic, me, patient_id)
    statement = (
        _select()
        .where(_record.patient_id == patient_id)
        .where(clinic.gate.visible(me, ResourceType.RECORD, _COLUMNS))
        .order_by(_record.id.desc())
        .limit(limit + 1)
    )
    if after:
        statement = statement.where(_record.id < after)
    rows = await clinic.database.select(statement, asking(me))
    page = rows[:limit]
    permits = await clinic.gate.disclose(me, ResourceType.RECORD, map(resource_of, page))
    opened = [
        _opened(row, await clinic.reveal(me, permits[row["resource_id"]], RecordVersion, row))
        for row in page
        if row["resource_id"] in permits
    ]
    return opened, page[-1]["resource_id"] if len(rows) > limit else None


def resource_of(row: Mapping[str, Any]) -> Resource:
    """Return what the policy looks at of a fetched record."""
    return Resource(
        ResourceType.RECORD,
        id=row["resource_id"],
        patient_id=row["patient_id"],
        author_id=row["author_id"],
        doctor_id=row["doctor_id"],
        status=row["status"],
        kind=row["kind"],
        sensitivity=row["sensitivity"],
        in_care_team=row["in_care_team"],
        own_appointment=row["own_appointment"],
    )


def _opened(row: Mapping[str, Any], phi: Mapping[str, Value | None]) -> OpenRecord:
    return OpenRecord(
        id=row["resource_id"],
        patient_id=row["patient_id"],
        appointment_id=row["appointment_id"],
        author_id=row["author_id"],
        kind=row["kind"],
        status=row["status"],
        sensitivity=row["sensitivity"],
        version=row["version"],
        title=phi["title"],
        content=phi["content"],
        written_at=row["written_at"],
        created_at=row["created_at"],
    )
