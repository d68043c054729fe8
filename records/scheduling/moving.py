"""Moving an appointment, taking the last change back, and booking what was proposed: it takes a time that it did not hold.

The new time is admitted like a booking's and judged by the same constraints; if it is taken, the old one stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import bindparam, select

from core.database import Query, Session
from core.errors import Conflict, FieldError, Invalid, NotFound
from policies.vocabulary import Action
from records.access.me import Me
from records.base import table_of
from records.clinic import Clinic
from records.scheduling.admission import Time, admit
from records.scheduling.booking import refuse_impossible
from records.scheduling.changing import Why, changed, locked, time_of
from records.scheduling.life import FINAL, LIFE
from records.scheduling.models import Act, AppointmentChange, AppointmentStatus
from records.scheduling.reading import OpenAppointment, resource_of
from records.scheduling.seating import moved, put, resettled
from records.scheduling.terms import Terms

_change = table_of(AppointmentChange).c
_LAST: Final = Query(
    select(*_change)
    .where(_change.appointment_id == bindparam("appointment_id", type_=PGUUID()))
    .order_by(_change.number.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Move:
    """Where a visit shall be instead: as long as before unless told, with the same doctor unless told.

    With another doctor it is where that doctor is then, unless told.
    """

    start: datetime
    end: datetime | None = None
    doctor_id: UUID | None = None
    location_id: UUID | None = None
    override: bool = False


async def reschedule(
    session: Session,
    clinic: Clinic,
    me: Me,
    appointment_id: UUID,
    move: Move,
    why: Why,
    *,
    freed: list[Mapping[str, Any]] | None = None,
) -> OpenAppointment:
    """Move an appointment: same id, same status, the old time and doctor kept if the new time is taken."""
    row = await locked(session, clinic, me, Act.RESCHEDULE, appointment_id)
    end = move.end or move.start + (row["ends_at"] - row["starts_at"])
    refuse_impossible(move.start, end)
    await clinic.gate.require(me, Action.UPDATE, resource_of(row))
    doctor_id = move.doctor_id or row["doctor_id"]
    new = {**await moved(session, row, doctor_id, move.start, end), "moves": row["moves"] + 1}
    image = {**row, **new}
    terms = await _admitted(session, clinic, me, row, move, image)
    new |= await resettled(session, terms, row, image)
    how = Act.RESCHEDULE, Action.UPDATE
    return await changed(session, clinic, me, *how, row, new, why, freed=freed)


async def confirm(
    session: Session,
    clinic: Clinic,
    me: Me,
    appointment_id: UUID,
    why: Why,
    *,
    override: bool = False,
) -> OpenAppointment:
    """Book what was held or proposed. A proposal holds no time: it is admitted, seated and judged now, like a booking."""
    row = await locked(session, clinic, me, Act.CONFIRM, appointment_id)
    new: dict[str, Any] = {"status": AppointmentStatus.BOOKED, "held_until": None}
    if row["status"] == AppointmentStatus.PROPOSED:
        await clinic.gate.require(me, Action.BOOK, resource_of(row))
        new |= await _seated(session, clinic, me, row, override)
    return await changed(session, clinic, me, Act.CONFIRM, Action.BOOK, row, new, why)


async def _seated(
    session: Session, clinic: Clinic, me: Me, row: Mapping[str, Any], override: bool
) -> Mapping[str, Any]:
    """Return the columns of a proposal that takes its own time."""
    there = await moved(session, row, *(row[n] for n in ("doctor_id", "starts_at", "ends_at")))
    image, own = {**row, **there}, Move(row["starts_at"], override=override)
    terms = await _admitted(session, clinic, me, row, own, image)
    return there | await resettled(session, terms, row, image)


async def undo(
    session: Session, clinic: Clinic, me: Me, appointment_id: UUID, why: Why
) -> OpenAppointment:
    """Take the last change back; who may do it may undo it. An undo itself is not undone."""
    row = await locked(session, clinic, me, Act.UNDO, appointment_id)
    last = await session.one(_LAST, appointment_id=appointment_id)
    if last is None or last["act"] in FINAL or _let_go(last):
        raise Conflict("there is no change to take back", code="nothing-to-undo")
    back = (last[f"from_{name}"] for name in ("doctor_id", "start", "end"))
    new = {
        **await moved(session, row, *back),
        **await put(session, last["from_location_id"]),
        "status": last["from_status"],
        "cancellation_reason": None,
    }
    right = LIFE[Act(last["act"])].right
    return await changed(session, clinic, me, Act.UNDO, right, row, new, why)


async def _admitted(
    session: Session,
    clinic: Clinic,
    me: Me,
    row: Mapping[str, Any],
    move: Move,
    image: Mapping[str, Any],
) -> Terms:
    """Return the terms of the new time; raise for a doctor who is not there what tells the way out."""
    try:
        return await admit(session, clinic, me, resource_of(row), _wanted(row, move, image))
    except NotFound:
        if move.doctor_id is None:
            raise Conflict("its doctor practises here no more", code="doctor-left") from None
        fault = FieldError("/doctor_id", "unknown", "there is no such doctor")
        raise Invalid(errors=[fault]) from None


def _wanted(row: Mapping[str, Any], move: Move, image: Mapping[str, Any]) -> Time:
    """Return the time that is wanted. The place stays, unless another is named or another doctor has their own."""
    stays = image["doctor_id"] == row["doctor_id"] and not row["room_kind"]
    place = move.location_id or (row["location_id"] if stays else None)
    return time_of({**image, "location_id": place}, override=move.override)


def _let_go(last: Mapping[str, Any]) -> bool:
    """Tell whether the last change ended a hold or request: taken back, it would hold its time for ever."""
    held = AppointmentStatus.PENDING
    return bool(last["from_status"] == held != last["to_status"])
