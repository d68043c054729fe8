"""Booking: the database judges. One INSERT tries the slot; the exclusion constraints decide every race.

`ON CONFLICT DO NOTHING` without a target counts exclusion constraints too, and loses a race without the deadlock that a plain
INSERT can run into.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from core.errors import FieldError, Invalid
from core.ids import new_id
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking, related
from records.base import Executor, table_of
from records.clinic import Clinic
from records.people.models import Patient
from records.people.reading import FACTS, OF_PERSON, resource_of
from records.scheduling.admission import Time, admit
from records.scheduling.clockwork import lapse
from records.scheduling.models import Appointment, AppointmentStatus
from records.scheduling.reading import OpenAppointment
from records.scheduling.seating import Seat, seats
from records.scheduling.taken import SlotTaken
from records.scheduling.taking import take
from records.scheduling.terms import Terms
from records.vault.vault import sealed_rows

LONGEST: Final = timedelta(hours=12)

_patient = table_of(Patient).c
_WHOM: Final = sealed_rows(Patient, *FACTS).where(OF_PERSON, _patient.active)


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit to book. Without an end it lasts as long as its service, or half an hour."""

    patient_id: UUID
    doctor_id: UUID
    start: datetime
    end: datetime | None = None
    service_id: UUID | None = None
    location_id: UUID | None = None
    override: bool = False
    reason: str | None = None
    held_until: datetime | None = None

    @property
    def time(self) -> Time:
        """When and where it is wanted."""
        fields = self.start, self.end, self.service_id, self.location_id, self.override
        return Time(self.doctor_id, *fields, self.patient_id)


async def book(
    session: Executor,
    clinic: Clinic,
    me: Me,
    *,
    patient_id: UUID,
    doctor_id: UUID,
    start: datetime,
    **details: Any,
) -> OpenAppointment:
    """Book a visit (`details`: what else a Visit has) and return it.

    Raises Invalid for a time or a service that cannot be, NotFound for a patient the caller may not book for
    or a doctor who is not there, and SlotTaken when doctor, patient or room is engaged then.
    """
    visit = Visit(patient_id, doctor_id, start, **details)
    refuse_impossible(start, visit.end)
    whom = await whom_for(session, clinic, me, patient_id)
    resource = Resource(
        ResourceType.APPOINTMENT,
        id=new_id(),
        patient_id=whom["patient_id"],
        doctor_id=doctor_id,
        **related(whom),
    )
    permit = await clinic.gate.write(session, me, Action.BOOK, resource, within=resource_of(whom))
    terms = await admit(session, clinic, me, resource, visit.time)
    row = await _sealed(clinic, permit, whom, visit, terms)
    seat = await _seated(session, terms, row)
    if seat is None and await lapse(session, clinic):
        seat = await _seated(session, terms, row)
    if seat is None:
        raise SlotTaken(visit.time)
    return _as_booked(row, seat, visit.reason)


async def _seated(session: Executor, terms: Terms, row: Appointment) -> Seat | None:
    """Take the first seat that is free, if one is."""
    for seat in await seats(session, terms, row.session_id):
        if await take(session, row, seat):
            return seat
    return None


async def _sealed(
    clinic: Clinic, permit: Permit, whom: Mapping[str, Any], visit: Visit, terms: Terms
) -> Appointment:
    (appointment_id,) = permit.row_ids
    key = await clinic.key(whom)
    cells = clinic.vault.seal(permit, Appointment, key, appointment_id, reason=visit.reason)
    end = visit.end or visit.start + terms.duration
    blocked_from, blocked_until = terms.blocked(visit.start, end)
    return Appointment(
        id=appointment_id,
        patient_id=whom["patient_id"],
        key_id=key.key_id,
        doctor_id=visit.doctor_id,
        service_id=terms.service_id,
        status=AppointmentStatus.PENDING if visit.held_until else AppointmentStatus.BOOKED,
        held_until=visit.held_until,
        starts_at=visit.start,
        ends_at=end,
        blocked_from=blocked_from,
        blocked_until=blocked_until,
        session_id=terms.session(visit.doctor_id, visit.start),
        capacity=terms.capacity,
        created_by=permit.subject_id,
        **cells,
    )


def _as_booked(row: Appointment, seat: Seat, reason: str | None) -> OpenAppointment:
    return OpenAppointment(
        id=row.id,
        patient_id=row.patient_id,
        doctor_id=row.doctor_id,
        service_id=row.service_id,
        location_id=seat.location_id,
        coverage_id=row.coverage_id,
        status=row.status,
        start=row.starts_at.astimezone(UTC),
        end=row.ends_at.astimezone(UTC),
        version=row.version,
        created_at=row.created_at,
        reason=reason,
        held_until=row.held_until,
    )


def refuse_impossible(start: datetime, end: datetime | None) -> None:
    """Raise Invalid for a time that no visit can have."""
    if start.tzinfo is None or (end and end.tzinfo is None):
        raise Invalid(errors=[FieldError("/start", "time-zone", "a time needs its offset")])
    if end and not start < end <= start + LONGEST:
        raise Invalid(
            errors=[FieldError("/end", "order", "a visit ends after it starts, within 12 h")]
        )


async def whom_for(
    session: Executor, clinic: Clinic, me: Me, patient_id: UUID
) -> Mapping[str, Any]:
    """Return an active patient with key and facts, for a new row of theirs; raise NotFound."""
    found = await session.execute(_WHOM, {"patient_id": patient_id, **asking(me)})
    row: Mapping[str, Any] | None = found.mappings().first()
    if row is None:
        await clinic.gate.absent(me, Action.BOOK, ResourceType.PATIENT, patient_id)
    return row
