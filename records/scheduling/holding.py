"""Holds: a slot kept for a patient for some minutes. A hold is a pending appointment, so the same constraints judge it."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from core.clock import now
from core.database import Session, Store
from core.errors import FieldError, Invalid
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import person_of
from records.clinic import Clinic
from records.scheduling.booking import book
from records.scheduling.changing import BOOKED, Why, call_off, changed, locked, require_patient
from records.scheduling.models import Act, CancellationReason
from records.scheduling.reading import OpenAppointment, read_appointment

LONGEST: Final = timedelta(minutes=30)


async def hold(
    store: Store, clinic: Clinic, me: Me, length: timedelta, **visit: Any
) -> OpenAppointment:
    """Hold a slot for a patient, who is the caller unless told; raises as `book` does."""
    patient_id = visit.pop("patient_id", None) or me.subject.patient_id
    if patient_id is None:
        raise Invalid(errors=[FieldError("/patient_id", "missing", "for whom is it?")])
    until = now() + min(length, LONGEST)
    return await book(store, clinic, me, patient_id=patient_id, held_until=until, **visit)


async def read_hold(clinic: Clinic, me: Me, hold_id: UUID) -> OpenAppointment:
    """Return a hold that is still good, or raise NotFound."""
    found = await read_appointment(clinic, me, hold_id)
    if found.held_until is None or found.held_until <= now():
        await clinic.gate.absent(me, Action.READ, ResourceType.APPOINTMENT, hold_id)
    return found


async def release(session: Session, clinic: Clinic, me: Me, hold_id: UUID, why: Why) -> None:
    """Give a hold up before its time."""
    row = await _held(session, clinic, me, Act.CANCEL, hold_id)
    await call_off(session, clinic, me, row, CancellationReason.OTHER, why)


async def book_held(
    session: Session,
    clinic: Clinic,
    me: Me,
    hold_id: UUID,
    *,
    patient_id: UUID,
    doctor_id: UUID,
    start: datetime,
    reason: str | None = None,
) -> OpenAppointment:
    """Make the booking a hold was for; raise Conflict(`hold-expired`) when its time is over."""
    row = await _held(session, clinic, me, Act.CONFIRM, hold_id)
    whose = (await session.execute(select(person_of(patient_id)))).scalar()
    if (row["person_id"], row["doctor_id"], row["starts_at"]) != (whose, doctor_id, start):
        fault = FieldError("/hold_id", "mismatch", "this hold is for something else")
        raise Invalid(errors=[fault])
    await require_patient(clinic, me, row)
    how = Act.CONFIRM, Action.BOOK
    return await changed(session, clinic, me, *how, row, BOOKED, Why(), reason=reason)


async def _held(session: Session, clinic: Clinic, me: Me, act: Act, hold_id: UUID) -> Any:
    row = await locked(session, clinic, me, act, hold_id)
    if row["held_until"] is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.APPOINTMENT, hold_id)
    return row
