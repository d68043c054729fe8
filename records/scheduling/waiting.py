"""Waiting for a time: entering the list and reading it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, time
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import ColumnElement, Text, and_, bindparam

from core.crypto.envelope import Value
from core.database import Query
from core.errors import FieldError, Invalid
from core.ids import new_id
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.listing import AFTER, Listing, cut, page, with_facts
from records.access.me import Me
from records.access.relations import asking, department_at, person_of, related, relations
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.meanings import fitting
from records.people.reading import patient_with_key
from records.people.reading import resource_of as patient_of
from records.scheduling.models import Appointment
from records.scheduling.waitlist import EntryStatus, WaitlistEntry
from records.vault.vault import sealed_rows, still_there

ROUTINE: Final = 3

_table = table_of(WaitlistEntry)
_entry, _visit = _table.c, table_of(Appointment).c


def facts_of(entry: Any) -> dict[str, ColumnElement[Any]]:
    """Return what a rule may ask of an entry, as SQL over a row of it."""
    return {
        "patient_id": person_of(entry.patient_id),
        "status": entry.status,
        "department": department_at(entry.patient_id),
        **relations(entry.patient_id),
    }


@dataclass(frozen=True, slots=True)
class Wish:
    """What a patient waits for. `weekdays` are ISO (Monday is 1), hours are the clinic's own."""

    earliest: datetime
    latest: datetime
    time_zone: str
    doctor_ids: Sequence[UUID] = ()
    service_id: UUID | None = None
    minutes: int | None = None
    weekdays: Sequence[int] = ()
    not_before: time | None = None
    not_after: time | None = None
    priority: int = ROUTINE
    appointment_id: UUID | None = None


_WISH: Final = tuple(field.name for field in fields(Wish))
_OFFER: Final = ("doctor_id", "starts_at", "ends_at", "held_until")
_ROWS: Final = sealed_rows(
    WaitlistEntry,
    *(_entry[name] for name in (*_WISH, "status", "version", "created_at", "offer_id")),
    *(_visit[name].label(f"offer_{name}") for name in _OFFER),
).outerjoin(
    table_of(Appointment),
    and_(_visit.id == _entry.offer_id, _entry.status == EntryStatus.OFFERED),
)
ONE: Final = with_facts(_ROWS, facts_of).where(_entry.id == bindparam("entry_id", type_=PGUUID()))
_READ: Final = Query(ONE)
_LIVING: Final = _ROWS.where(still_there(), _entry.id > AFTER).order_by(_entry.id)
_OF_STATUS: Final = _LIVING.where(_entry.status == bindparam("status", type_=Text()))
_LISTINGS: Final = {
    named: Listing(ResourceType.WAITLIST, rows, facts_of)
    for named, rows in ((False, _LIVING), (True, _OF_STATUS))
}
"""All entries, and those of one status."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A time that is kept for the entry alone until `expires_at`; `appointment_id` is the hold."""

    appointment_id: UUID
    doctor_id: UUID
    start: datetime
    end: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenEntry:
    """An entry as a reader sees it."""

    id: UUID
    patient_id: UUID
    status: str
    wish: Wish
    version: int
    created_at: datetime
    reason: Value | None
    offer: Offer | None = None


async def enter(
    session: Executor,
    clinic: Clinic,
    me: Me,
    patient_id: UUID | None,
    wish: Wish,
    reason: str | None = None,
) -> OpenEntry:
    """Put a patient on the list. A band above routine needs the right to update the list."""
    patient_id = patient_id or me.subject.patient_id
    if patient_id is None:
        raise Invalid(errors=[FieldError("/patient_id", "missing", "who waits?")])
    whom = await patient_with_key(session, clinic, me, Action.CREATE, patient_id)
    if not whom["active"]:
        await clinic.gate.absent(me, Action.CREATE, ResourceType.PATIENT, patient_id)
    patient_id = whom["patient_id"]
    resource = replace(
        patient_of(whom, ResourceType.WAITLIST), id=new_id(), status=EntryStatus.WAITING
    )
    permit = await clinic.gate.write(session, me, Action.CREATE, resource, within=patient_of(whom))
    if wish.priority != ROUTINE:
        await clinic.gate.require(me, Action.UPDATE, resource)
    (entry_id,), key = permit.row_ids, await clinic.key(whom)
    cells = clinic.vault.seal(permit, WaitlistEntry, key, entry_id, reason=reason)
    plain = {name: getattr(wish, name) for name in _WISH}
    plain |= {"doctor_ids": list(wish.doctor_ids), "weekdays": list(wish.weekdays)}
    row = WaitlistEntry(
        id=entry_id,
        patient_id=patient_id,
        key_id=key.key_id,
        created_by=me.subject.id,
        **plain,
        **cells,
    )
    with fitting(WaitlistEntry):
        await add(session, row)
    return OpenEntry(entry_id, patient_id, row.status, wish, 1, row.created_at, reason)


async def read_entry(clinic: Clinic, me: Me, entry_id: UUID) -> OpenEntry:
    """Return one entry, or raise NotFound alike for hidden and absent ones."""
    row = await clinic.database.one(_READ, entry_id=entry_id, **asking(me))
    if row is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.WAITLIST, entry_id)
    permit = await clinic.gate.read(me, Action.READ, resource_of(row))
    return opened(row, await clinic.reveal(me, permit, WaitlistEntry, row))


async def list_entries(
    clinic: Clinic, me: Me, status: str | None, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[OpenEntry], UUID | None]:
    """Return the entries the caller may see, oldest first, and where the next page starts."""
    span = page(me, limit, after)
    query = clinic.gate.listed(me, _LISTINGS[bool(status)], span["limit"])
    rows = await clinic.database.all(query, status=status, **span)
    first, last = cut(rows, limit)
    kind = ResourceType.WAITLIST
    found = await clinic.disclose(me, kind, WaitlistEntry, first, resource_of)
    return [opened(row, phi) for row, phi in found], last


def resource_of(row: Mapping[str, Any]) -> Resource:
    """Return what the policy looks at of a fetched entry."""
    return Resource(
        ResourceType.WAITLIST,
        id=row["resource_id"],
        patient_id=row["person_id"],
        status=row["status"],
        department=row["department"],
        **related(row),
        chart_id=row["patient_id"],
    )


def opened(row: Mapping[str, Any], phi: Mapping[str, Value | None]) -> OpenEntry:
    """Return a fetched entry, with its PHI, as a reader sees it."""
    wish = Wish(**{name: row[name] for name in _WISH})
    offer = None
    if row["offer_held_until"]:
        offer = Offer(row["offer_id"], *(row[f"offer_{name}"] for name in _OFFER))
    head = row["resource_id"], row["patient_id"], row["status"]
    return OpenEntry(*head, wish, row["version"], row["created_at"], phi["reason"], offer)
