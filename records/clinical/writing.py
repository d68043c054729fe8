"""Writing a record: a head that decisions can look at, and a first version sealed under the patient's key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import and_, bindparam, or_

from core.crypto.envelope import DataKey, Value
from core.ids import new_id
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType, Sensitivity
from records.access.me import Me
from records.access.relations import DOCTOR, asking, in_care_team, own_appointment
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.clinical.models import Record, RecordKind, RecordStatus, RecordVersion
from records.clinical.reading import OpenRecord
from records.scheduling.models import Appointment
from records.scheduling.reading import resource_of
from records.vault.vault import sealed_rows

_visit = table_of(Appointment).c
_VISIT: Final = sealed_rows(
    Appointment,
    _visit.doctor_id,
    _visit.status,
    in_care_team(_visit.patient_id).label("in_care_team"),
    or_(
        and_(DOCTOR.is_not(None), _visit.doctor_id == DOCTOR), own_appointment(_visit.patient_id)
    ).label("own_appointment"),
).where(_visit.id == bindparam("appointment_id", type_=PGUUID()))


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants to write. `content` is an object of the record's kind, or plain text."""

    kind: RecordKind
    title: str
    content: Value
    sensitivity: Sensitivity = Sensitivity.NORMAL
    status: RecordStatus = RecordStatus.DRAFT
    source: str | None = None


async def write_record(
    session: Executor, clinic: Clinic, me: Me, appointment_id: UUID, draft: Draft
) -> OpenRecord:
    """Write a record of a visit and return it; NotFound when the visit is not the caller's to see."""
    found = await session.execute(_VISIT, {"appointment_id": appointment_id, **asking(me)})
    visit: Mapping[str, Any] | None = found.mappings().first()
    if visit is None:
        await clinic.gate.absent(me, Action.CREATE, ResourceType.APPOINTMENT, appointment_id)
    record_id = new_id()
    resource = Resource(
        ResourceType.RECORD,
        id=record_id,
        patient_id=visit["patient_id"],
        author_id=me.subject.id,
        doctor_id=visit["doctor_id"],
        status=draft.status,
        kind=draft.kind,
        sensitivity=draft.sensitivity,
        in_care_team=visit["in_care_team"],
        own_appointment=visit["own_appointment"],
    )
    within = resource_of(visit)
    permit = await clinic.gate.write(session, me, Action.CREATE, resource, within=within)
    key = clinic.vault.key(visit)
    record, version = rows_of(clinic, permit, key, record_id, appointment_id, draft)
    await add(session, record, version)
    return _as_written(record, version, draft)


def rows_of(
    clinic: Clinic,
    permit: Permit,
    key: DataKey,
    record_id: UUID,
    appointment_id: UUID,
    draft: Draft,
    author_id: UUID | None = None,
) -> tuple[Record, RecordVersion]:
    """Return the two rows of a new record, sealed; its author is the caller unless an import says else."""
    assert permit.patient_id is not None
    version_id, author = new_id(), author_id or permit.subject_id
    cells = clinic.vault.seal(
        permit, RecordVersion, key, version_id, title=draft.title, content=draft.content
    )
    record = Record(
        id=record_id,
        patient_id=permit.patient_id,
        appointment_id=appointment_id,
        author_id=author,
        kind=draft.kind,
        status=draft.status,
        sensitivity=draft.sensitivity,
        source=draft.source,
    )
    version = RecordVersion(
        id=version_id,
        patient_id=permit.patient_id,
        key_id=key.key_id,
        record_id=record_id,
        status=draft.status,
        author_id=author,
        **cells,
    )
    return record, version


def _as_written(record: Record, version: RecordVersion, draft: Draft) -> OpenRecord:
    return OpenRecord(
        id=record.id,
        patient_id=record.patient_id,
        appointment_id=record.appointment_id,
        author_id=record.author_id,
        kind=record.kind,
        status=record.status,
        sensitivity=record.sensitivity,
        version=record.version,
        title=draft.title,
        content=draft.content,
        written_at=version.written_at,
        created_at=record.created_at,
    )
