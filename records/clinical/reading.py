"""Reading medical records: one SELECT for the row, the facts and the wrapped key; then gate, then vault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select

from core.crypto.envelope import Value
from core.database import Query
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.listing import BEFORE, Listing, page, with_facts
from records.access.me import Me
from records.access.relations import (
    DOCTOR,
    asking,
    consent_denied,
    consent_granted,
    department_at,
    department_of,
    ids_of,
    own_appointment,
    person_of,
    related,
    relations,
)
from records.base import table_of
from records.clinic import Clinic, Unreadable
from records.clinical.models import Record, RecordVersion
from records.clinical.signature import Signature, signature
from records.people.reading import patient_in_sight
from records.scheduling.models import Appointment
from records.vault.vault import sealed_rows, still_there

_record, _version, _visit = table_of(Record).c, table_of(RecordVersion).c, table_of(Appointment).c
LABELS: Final = ("status", "sensitivity", "categories")
"""What of a record's facts each of its versions has of its own."""
_NOW: Final = _record.categories.label("categories_now")


def of_visit(patient: Any, doctor: Any) -> dict[str, ColumnElement[bool]]:
    """Return the caller's relations to a patient; who held the very visit has an appointment, however old."""
    held = and_(DOCTOR.is_not(None), doctor == DOCTOR)
    return {**relations(patient), "own_appointment": or_(held, own_appointment(patient))}


_PLAIN: Final = ("author_id", "doctor_id", "status", "kind", "sensitivity", "categories")


def facts_of(record: Any, patient: Any = None) -> dict[str, ColumnElement[Any]]:
    """Return what a rule may ask of a record, as SQL over a row of it; or over one `patient`, whose every row is.

    What the patient allows and forbids is about the categories that the record bears now.
    """
    whose = record.patient_id if patient is None else patient
    return {
        **{name: record[name] for name in _PLAIN},
        "patient_id": person_of(whose),
        "department": department_of(record.doctor_id),
        **of_visit(whose, record.doctor_id),
        "consent_granted": consent_granted(whose, record.categories_now),
        "consent_denied": consent_denied(whose, record.categories_now),
    }


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """A record as its reader sees it. `content` is what was written: an object of the record's kind, unread."""

    id: UUID
    patient_id: UUID
    appointment_id: UUID
    author_id: UUID
    kind: str
    status: str
    sensitivity: str
    categories: Sequence[str]
    version: int
    act: str
    writer_id: UUID
    locked: bool
    addendum_to: UUID | None
    title: Value | None
    content: Value | None
    reason: Value | None
    signature: Signature | None
    written_at: datetime
    created_at: datetime


def version_rows(labels: Any, which: ColumnElement[bool]) -> Select[Any]:
    """Return a SELECT of versions of records, with what the vault, a signature and `facts_of` need. `labels`: whose status and labels."""
    head = [_record.id, _record.appointment_id, _record.locked, _record.addendum_to, _record.source]
    own = [_version.number, _version.act, _version.author_id.label("writer_id")]
    plain = [labels[name] for name in LABELS]
    made = [_record.author_id, _record.kind, _record.created_at, _visit.doctor_id]
    return (
        sealed_rows(RecordVersion, *head, *made, _NOW, _version.written_at, *own, *plain)
        .join(Record, and_(_record.id == _version.record_id, which))
        .join(Appointment, _visit.id == _record.appointment_id)
    )


def record_rows() -> Select[Any]:
    """Return a SELECT of records, each in its present version."""
    return version_rows(_record, _record.version == _version.number)


_FACTUAL: Final = select(table_of(Record), _visit.doctor_id, _NOW).selected_columns
COLUMNS: Final = {"id": _record.id, **facts_of(_FACTUAL)}
CURRENT: Final = with_facts(record_rows(), facts_of).where(
    _record.id == bindparam("record_id", type_=PGUUID())
)
_ONE: Final = Query(CURRENT)
_ID: Final = bindparam("patient_id", type_=PGUUID())
_WHOSE: Final = {
    "department": department_at(_ID),
    "own_appointment": own_appointment(_ID),
    "consent_granted": consent_granted(_ID),
}
"""What is said of a patient in other words than of a record of theirs; the rest is the same of both."""
_OF_PATIENT: Final = Listing(
    ResourceType.RECORD,
    record_rows()
    .add_columns(*(fact.label(f"whose_{name}") for name, fact in _WHOSE.items()))
    .where(still_there(), _record.patient_id.in_(ids_of(_ID)), _record.id < BEFORE)
    .order_by(_record.id.desc()),
    partial(facts_of, patient=_ID),
)


async def read_record(clinic: Clinic, me: Me, record_id: UUID) -> OpenRecord:
    """Return one record, or raise NotFound alike for what is hidden and what is not there."""
    row = await fetched(clinic, me, Action.READ, record_id)
    permit = await clinic.gate.read(me, Action.READ, resource_of(row))
    return await opened(clinic, me, permit, row)


async def list_records(
    clinic: Clinic, me: Me, patient_id: UUID, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[OpenRecord], UUID | None]:
    """Return a patient's records that the caller may read, newest first, and where the next page starts.

    Each row says of its patient, too, whether the caller may see them; where there is none, that is asked for by itself.
    """
    span = page(me, limit, after)
    query = clinic.gate.listed(me, _OF_PATIENT, span["limit"])
    rows = await clinic.database.all(query, patient_id=patient_id, **span)
    if rows:
        await clinic.gate.require(me, Action.READ, _patient_of(rows[0]))
    else:
        await patient_in_sight(clinic, me, patient_id)
    found = await disclosed(clinic, me, rows[:limit])
    return found, rows[limit - 1]["id"] if len(rows) > limit else None


async def disclosed(
    clinic: Clinic, me: Me, rows: Sequence[Mapping[str, Any]]
) -> Sequence[OpenRecord]:
    """Open rows, each decided once more, once their events are on disk."""
    permits = await clinic.gate.disclose(me, ResourceType.RECORD, map(resource_of, rows))
    return [await opened(clinic, me, permits[r["id"]], r) for r in rows if r["id"] in permits]


async def record_in_sight(clinic: Clinic, me: Me, record_id: UUID) -> None:
    """Raise NotFound unless the caller may read the record."""
    row = await fetched(clinic, me, Action.READ, record_id)
    await clinic.gate.require(me, Action.READ, resource_of(row))


async def fetched(clinic: Clinic, me: Me, action: Action, record_id: UUID) -> Mapping[str, Any]:
    """Return a record's row with facts and key, still to be decided about; NotFound when there is none."""
    found = await clinic.database.one(_ONE, record_id=record_id, **asking(me))
    row: Mapping[str, Any] | None = found
    if row is None:
        await clinic.gate.absent(me, action, ResourceType.RECORD, record_id)
    return row


def resource_of(row: Mapping[str, Any]) -> Resource:
    """Return what the policy looks at of a fetched record."""
    return Resource(
        ResourceType.RECORD,
        id=row["id"],
        patient_id=row["person_id"],
        chart_id=row["patient_id"],
        author_id=row["author_id"],
        doctor_id=row["doctor_id"],
        status=row["status"],
        kind=row["kind"],
        sensitivity=row["sensitivity"],
        categories=frozenset(row["categories"]),
        department=row["department"],
        **related(row),
        consent_denied=row["consent_denied"],
    )


def _patient_of(row: Mapping[str, Any]) -> Resource:
    """Return what the policy looks at of the patient whose records are listed."""
    whose = {name: row[f"whose_{name}"] for name in _WHOSE}
    person = row["person_id"]
    return Resource(ResourceType.PATIENT, id=person, patient_id=person, **{**related(row), **whose})


async def opened(clinic: Clinic, me: Me, permit: Permit, row: Mapping[str, Any]) -> OpenRecord:
    """Open a fetched version and check its signature; one that does not fit is an event, and an error."""
    phi = await clinic.reveal(me, permit, RecordVersion, row, unread=True)
    try:
        signed = signature(row, phi)
    except ValueError:
        await clinic.gate.failed(me, permit, "signature")
        raise Unreadable("a record is not what was signed") from None
    heads = (
        "id",
        "patient_id",
        "appointment_id",
        "author_id",
        "kind",
        "status",
        "sensitivity",
        "categories",
    )
    others = ("act", "writer_id", "locked", "addendum_to", "written_at", "created_at")
    return OpenRecord(
        **{name: row[name] for name in (*heads, *others)},
        version=row["number"],
        title=phi["title"],
        content=phi["content"],
        reason=phi["reason"],
        signature=signed,
    )
