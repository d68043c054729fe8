"""Moving an appointment, taking the last change back, and booking what was proposed: it takes a time that it did not hold.

The new time is admitted like a booking's and judged by the same constraints; if it is taken, the old one stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import bindparam, func, select

from core.database import Query, Session
from core.errors import Conflict, FieldError, Invalid, NotFound
from policies.vocabulary import Action
from records.access.me import Me
from records.base import table_of
from records.clinic import Clinic
from records.scheduling.admission import Time, admit
from records.scheduling.booking import refuse_impossible
from records.scheduling.changing import (
    BOOKED,
    Why,
    changed,
    image_of,
    locked,
    require_patient,
)
from records.scheduling.clockwork import lapse
from records.scheduling.life import FINAL, LIFE
from records.scheduling.models import Act, AppointmentChange, AppointmentStatus
from records.scheduling.reading import OpenAppointment, resource_of
from records.scheduling.seating import There, moved, put, resettled
from records.scheduling.taken import time_of
from records.scheduling.terms import ONE, Terms, terms_of

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
    there = There(move.doctor_id or row["doctor_id"], move.start, end, row["status"])
    terms = await _admitted(session, clinic, me, row, move, there)
    anew = None if there.doctor_id == row["doctor_id"] else terms
    new = await _there(session, clinic, row, there, anew)
    new |= {**await resettled(session, terms, row, {**row, **new}), "moves": row["moves"] + 1}
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
    new: Mapping[str, Any] = BOOKED
    if row["status"] == AppointmentStatus.PROPOSED:
        await clinic.gate.require(me, Action.BOOK, resource_of(row))
        new = {**BOOKED, **await _seated(session, clinic, me, row, override)}
    else:
        await require_patient(clinic, me, row)  # a hold is not its doctor's to confirm
    return await changed(session, clinic, me, Act.CONFIRM, Action.BOOK, row, new, why)


async def _seated(
    session: Session, clinic: Clinic, me: Me, row: Mapping[str, Any], override: bool
) -> Mapping[str, Any]:
    """Return the columns of a proposal that takes its own time."""
    own = Move(row["starts_at"], override=override)
    there = There(row["doctor_id"], own.start, row["ends_at"], AppointmentStatus.BOOKED)
    terms = await _admitted(session, clinic, me, row, own, there)
    new = await _there(session, clinic, row, there, terms)
    return new | await resettled(session, terms, row, {**row, **new})


async def undo(
    session: Session, clinic: Clinic, me: Me, appointment_id: UUID, why: Why
) -> OpenAppointment:
    """Take the last change back; who may do it may undo it, what others did only of a patient in sight. An undo itself is not undone."""
    row = await locked(session, clinic, me, Act.UNDO, appointment_id)
    last = await session.one(_LAST, appointment_id=appointment_id)
    if last is None or last["act"] in FINAL or _let_go(last):
        raise Conflict("there is no change to take back", code="nothing-to-undo")
    if last["changed_by"] != me.subject.id:
        # Or a doctor whom the patient left would let themselves in again.
        await require_patient(clinic, me, row)
    back = There(*(last[f"from_{name}"] for name in ("doctor_id", "start", "end", "status")))
    new = {
        **await _there(session, clinic, row, back, await _terms(session, row, back)),
        **await put(session, last["from_location_id"]),
        "cancellation_reason": None,
    }
    right = LIFE[Act(last["act"])].right
    return await changed(session, clinic, me, Act.UNDO, right, row, new, why)


async def _there(
    session: Session, clinic: Clinic, row: Mapping[str, Any], there: There, terms: Terms | None
) -> dict[str, Any]:
    """Wait for one's turn, let go of what ran out, and return the columns of a visit as it is there, as `moved` does."""
    await _queue(session, row["person_id"], row["doctor_id"], there.doctor_id)
    await lapse(session, clinic)
    return await moved(session, row, there, terms)


async def _queue(session: Session, person_id: UUID, *doctors: UUID) -> None:
    """Let those who move visits of one doctor or one person pass one by one, in one order: no deadlock."""
    names = (*sorted({f"doctor_id {doctor}" for doctor in doctors}), f"patient_id {person_id}")
    turns = (func.pg_advisory_xact_lock(func.hashtextextended(name, 0)) for name in names)
    await session.execute(select(*turns))


async def _terms(session: Session, row: Mapping[str, Any], there: There) -> Terms | None:
    """Return the terms of the doctor whom a visit goes back to; None where it stays, or they are gone."""
    if there.doctor_id == row["doctor_id"]:
        return None
    named = {"service_id": row["service_id"], "doctor_id": there.doctor_id}
    found = (await session.execute(ONE, named)).mappings().first()
    return found and terms_of(found)


async def _admitted(
    session: Session,
    clinic: Clinic,
    me: Me,
    row: Mapping[str, Any],
    move: Move,
    there: There,
) -> Terms:
    """Return the terms of the new time; raise for a doctor who is not there what tells the way out."""
    image = {**row, **there.columns}
    images = [resource_of(row), await image_of(session, row, image)]
    try:
        return await admit(session, clinic, me, images, _wanted(row, move, image))
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
