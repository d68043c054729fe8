"""A freed time goes to the first who waits and whom it fits: held for them alone, for a set time, then for the next.

An offer is a hold, so the constraints that judge bookings judge offers, and nobody can book it away. How the hold ends
(confirmed, cancelled, run out) is how the entry ends.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Select, any_, exists, func, or_, select, update

from core.clock import now
from core.database import Session
from core.errors import DomainError
from core.ids import new_id
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me, clockwork
from records.access.relations import person_of
from records.base import rewrite, table_of
from records.clinic import Clinic
from records.scheduling.admission import OF_DOCTOR, Time, asked, judged
from records.scheduling.models import Act, Appointment, AppointmentStatus
from records.scheduling.seating import seats
from records.scheduling.taking import take
from records.scheduling.terms import Terms
from records.scheduling.waitlist import EntryStatus, WaitlistEntry

STANDS: Final = timedelta(hours=2)
"""How long an offer is kept for whom it was made to."""
LEAD: Final = timedelta(hours=1)
"""A time nearer than this is not offered: nobody would make it."""
LOOKED_AT: Final = 25
"""Entries that one freed time is tried on at most."""

ENDS: Final[Mapping[Act, EntryStatus]] = {
    Act.CONFIRM: EntryStatus.BOOKED,
    Act.CANCEL: EntryStatus.DECLINED,
    Act.ENTER_IN_ERROR: EntryStatus.DECLINED,
    Act.EXPIRE: EntryStatus.EXPIRED,
}
"""What becomes of an entry when its hold ends so."""

_table = table_of(WaitlistEntry)
_entry, _visit = _table.c, table_of(Appointment).c


async def settle(session: Session, hold_id: UUID, act: Act) -> UUID | None:
    """Close the entry a hold was an offer to, if it was one; return the later visit it gives up when booked."""
    closing = update(_table).where(_entry.offer_id == hold_id, _entry.status == EntryStatus.OFFERED)
    closing = closing.values(status=ENDS[act], version=_entry.version + 1)
    closed = await rewrite(session, closing)
    return closed[0]["appointment_id"] if closed and act is Act.CONFIRM else None


async def offer(session: Session, clinic: Clinic, freed: Mapping[str, Any]) -> UUID | None:
    """Offer the time of a visit that gave it up; return the entry it is offered to.

    Nothing here may spoil what freed the time: a policy that forbids offers means that none is made.
    """
    if freed["starts_at"] < now() + LEAD:
        return None
    waiting = (await session.execute(_candidates(freed))).mappings().all()
    for entry in waiting:
        if _suits(entry, freed["starts_at"]) and await _keep(session, clinic, entry, freed):
            row_id: UUID = entry["id"]
            return row_id
    return None


def _candidates(freed: Mapping[str, Any]) -> Select[Any]:
    """Select who waits for such a time, most urgent and oldest first, locked against another freed time."""
    start, doctor = freed["starts_at"], freed["doctor_id"]
    earlier = exists().where(_visit.id == _entry.appointment_id, _visit.starts_at <= start)
    return (
        select(*_entry, person_of(_entry.patient_id).label("person_id"))
        .where(
            _entry.status == EntryStatus.WAITING,
            _entry.earliest <= start,
            _entry.latest > start,
            or_(func.cardinality(_entry.doctor_ids) == 0, doctor == any_(_entry.doctor_ids)),
            ~earlier,
        )
        .order_by(_entry.priority, _entry.id)
        .limit(LOOKED_AT)
        .with_for_update(of=_table, skip_locked=True)
    )


def _suits(entry: Mapping[str, Any], start: datetime) -> bool:
    """Tell whether the hour and the day of the week are among those the patient can come."""
    local = start.astimezone(ZoneInfo(entry["time_zone"]))
    day, hour = local.isoweekday(), local.time()
    return (
        (not entry["weekdays"] or day in entry["weekdays"])
        and (entry["not_before"] is None or hour >= entry["not_before"])
        and (entry["not_after"] is None or hour <= entry["not_after"])
    )


async def _keep(
    session: Session, clinic: Clinic, entry: Mapping[str, Any], freed: Mapping[str, Any]
) -> bool:
    """Hold the time for an entry; tell whether it fitted."""
    try:
        terms = await _terms(session, entry, freed)
        row = _hold(entry, freed, terms)
        if row["ends_at"] > freed["ends_at"]:
            return False
        resource = _resource(entry, row)
        await clinic.gate.require(_me(), Action.BOOK, resource)
        places = await seats(session, terms, row["session_id"])
    except DomainError:
        return False
    kept = await take(session, clinic, _me(), resource, places, row)
    if kept:
        await _tell(session, entry["id"], kept["id"])
    return kept is not None


async def _terms(session: Session, entry: Mapping[str, Any], freed: Mapping[str, Any]) -> Terms:
    """Return the terms on which a freed time may be booked; raise as `admitted` does where slot search would not show it."""
    start, doctor_id = freed["starts_at"], freed["doctor_id"]
    end = start + timedelta(minutes=entry["minutes"]) if entry["minutes"] else None
    wanted = Time(doctor_id, start, end, entry["service_id"], freed["location_id"])
    time = judged(wanted, await session.one(OF_DOCTOR, **asked(wanted)))
    if time.refusal:
        raise time.refusal
    return time.terms


def _hold(entry: Mapping[str, Any], freed: Mapping[str, Any], terms: Terms) -> dict[str, Any]:
    start = freed["starts_at"]
    length = timedelta(minutes=entry["minutes"]) if entry["minutes"] else terms.duration
    blocked_from, blocked_until = terms.blocked(start, start + length)
    return {
        "id": new_id(),
        "patient_id": entry["patient_id"],
        "key_id": entry["key_id"],
        "doctor_id": freed["doctor_id"],
        "service_id": terms.service_id,
        "status": AppointmentStatus.PENDING,
        "held_until": min(now() + STANDS, start),
        "starts_at": start,
        "ends_at": start + length,
        "blocked_from": blocked_from,
        "blocked_until": blocked_until,
        "session_id": terms.session(freed["doctor_id"], start),
        "series_id": None,
        "capacity": terms.capacity,
        "created_by": entry["created_by"],
        "created_at": now(),
    }


def _me() -> Me:
    return clockwork("offer")


def _resource(entry: Mapping[str, Any], row: Mapping[str, Any]) -> Resource:
    return Resource(
        ResourceType.APPOINTMENT,
        id=row["id"],
        patient_id=entry["person_id"],
        doctor_id=row["doctor_id"],
        status=row["status"],
        chart_id=entry["patient_id"],
    )


async def _tell(session: Session, entry_id: UUID, hold_id: UUID) -> None:
    offered = {"status": EntryStatus.OFFERED, "offer_id": hold_id, "version": _entry.version + 1}
    await rewrite(session, update(_table).where(_entry.id == entry_id).values(**offered))
