"""Writing a record: a head that decisions can look at, and versions sealed under the patient's key.

A version written in a signed status is signed there and then by whoever writes it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import and_, bindparam, or_

from core.crypto.envelope import DataKey, Value
from core.ids import new_id
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, Category, ResourceType, Sensitivity
from records.access.listing import labelled
from records.access.me import Me
from records.access.relations import (
    DOCTOR,
    asking,
    department_of,
    own_appointment,
    person_of,
    real,
    related,
    relations,
)
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.clinical.models import (
    UNSIGNED,
    Record,
    RecordAct,
    RecordKind,
    RecordStatus,
    RecordVersion,
)
from records.clinical.reading import OpenRecord
from records.clinical.signature import Signature, digest
from records.scheduling.models import Appointment
from records.scheduling.reading import resource_of
from records.vault.vault import sealed_rows

_visit = table_of(Appointment).c
_TREATS: Final = or_(
    own_appointment(_visit.patient_id),
    and_(DOCTOR.is_not(None), _visit.doctor_id == DOCTOR, real(_visit.status)),
)
"""Who held the very visit writes of it, however old it is; of a wish, a hold or what was cancelled, who treats the patient."""
_VISIT: Final = sealed_rows(
    Appointment,
    _visit.doctor_id,
    _visit.status,
    person_of(_visit.patient_id).label("person_id"),
    department_of(_visit.doctor_id).label("department"),
    *labelled({**relations(_visit.patient_id), "own_appointment": _TREATS}),
).where(_visit.id == bindparam("appointment_id", type_=PGUUID()))


Words = dict[str, Any]
"""The words of a version by column: title, content, reason. They are what is sealed, and what is signed."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants to write. `content` is an object of the record's kind, or plain text."""

    kind: RecordKind
    title: str
    content: Value
    sensitivity: Sensitivity = Sensitivity.NORMAL
    categories: Collection[Category] = ()
    status: RecordStatus = RecordStatus.DRAFT
    source: str | None = None
    addendum_to: UUID | None = None

    @property
    def words(self) -> Words:
        return {"title": self.title, "content": self.content, "reason": None}


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
        patient_id=visit["person_id"],
        chart_id=visit["patient_id"],
        author_id=me.subject.id,
        doctor_id=visit["doctor_id"],
        status=draft.status,
        kind=draft.kind,
        sensitivity=draft.sensitivity,
        categories=frozenset(draft.categories),
        department=visit["department"],
        **related(visit),
    )
    within = resource_of(visit)
    permit = await clinic.gate.write(session, me, Action.CREATE, resource, within=within)
    key = await clinic.key(visit)
    record, version = rows_of(clinic, permit, key, record_id, appointment_id, draft)
    await add(session, record, version)
    return as_written(record, version, draft.words)


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
    author = author_id or permit.subject_id
    record = Record(
        id=record_id,
        patient_id=permit.patient_id,
        appointment_id=appointment_id,
        author_id=author,
        kind=draft.kind,
        status=draft.status,
        sensitivity=draft.sensitivity,
        categories=sorted(set(draft.categories)),
        addendum_to=draft.addendum_to,
        source=draft.source,
    )
    version = RecordVersion(
        id=new_id(),
        patient_id=permit.patient_id,
        key_id=key.key_id,
        record_id=record_id,
        status=draft.status,
        sensitivity=draft.sensitivity,
        categories=record.categories,
        author_id=author,
    )
    seal_version(clinic, permit, key, record, version, draft.words)
    return record, version


def seal_version(
    clinic: Clinic,
    permit: Permit,
    key: DataKey,
    record: Record,
    version: RecordVersion,
    words: Words,
) -> None:
    """Put the sealed words into a version, and its signature, unless it needs none or has it elsewhere."""
    elsewhere = record.source and version.act is RecordAct.WRITE
    signed = version.status not in UNSIGNED and not elsewhere
    mark = digest(open_columns(record, version), words) if signed else None
    cells = clinic.vault.seal(permit, RecordVersion, key, version.id, **words, digest=mark)
    for name, cell in cells.items():
        setattr(version, name, cell)


def open_columns(record: Record, version: RecordVersion) -> Mapping[str, Any]:
    """Return the open columns of a version as a SELECT of versions names them."""
    own = ("number", "act", "status", "sensitivity", "categories", "written_at")
    return {
        **{name: getattr(record, name) for name in ("id", "patient_id", "kind")},
        **{name: getattr(version, name) for name in own},
        "writer_id": version.author_id,
    }


def as_written(record: Record, version: RecordVersion, words: Words) -> OpenRecord:
    """Return a version just written as its readers will see it."""
    heads = ("id", "patient_id", "appointment_id", "author_id", "kind", "locked", "addendum_to")
    signed = version.digest and digest(open_columns(record, version), words).hex()
    return OpenRecord(
        **{name: getattr(record, name) for name in heads},
        created_at=record.created_at,
        status=version.status,
        sensitivity=version.sensitivity,
        categories=version.categories,
        version=version.number,
        act=version.act,
        writer_id=version.author_id,
        written_at=version.written_at,
        signature=Signature(version.author_id, version.written_at, signed) if signed else None,
        **words,
    )
