"""Booking: the database judges. One INSERT tries the slot; the exclusion constraints decide every race.

`ON CONFLICT DO NOTHING` without a target counts exclusion constraints too, and loses a race without the deadlock that a plain
INSERT can run into.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.database import Query, Store
from core.errors import FieldError, Invalid
from core.ids import new_id
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking, related
from records.base import table_of
from records.clinic import Clinic
from records.people.models import Doctor, Patient
from records.people.reading import FACTS, OF_PERSON, require_sight, resource_of
from records.scheduling.admission import RULES, SERVICE, WITHIN, Time, admitted, asked
from records.scheduling.clockwork import OVERDUE, lapse
from records.scheduling.models import Appointment, AppointmentStatus
from records.scheduling.reading import OpenAppointment
from records.scheduling.seating import seats
from records.scheduling.taken import SlotTaken
from records.scheduling.taking import take
from records.scheduling.terms import Terms, doctors_and
from records.vault.vault import key_columns, with_key

LONGEST: Final = timedelta(hours=12)

_patient, _doctor = table_of(Patient).c, table_of(Doctor).c
_PLAN: Final = Query(
    doctors_and(
        SERVICE,
        *key_columns(Patient),
        *FACTS,
        _doctor.id.label("doctor_id"),
        _doctor.department.label("visited"),
        *RULES,
        OVERDUE,
        start=with_key(Patient).outerjoin(table_of(Doctor), WITHIN),
    ).where(OF_PERSON, _patient.active)
)
"""All that a booking is judged by, in one look: patient, key and relations, doctor, terms, hours."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit to book, or only to propose. Without an end it lasts as long as its service, or half an hour."""

    patient_id: UUID
    doctor_id: UUID
    start: datetime
    end: datetime | None = None
    service_id: UUID | None = None
    location_id: UUID | None = None
    override: bool = False
    reason: str | None = None
    held_until: datetime | None = None
    series_id: UUID | None = None
    proposed: bool = False

    @property
    def right(self) -> Action:
        """What policy must allow: whoever may not book may still be let propose, which holds no time."""
        return Action.CREATE if self.proposed else Action.BOOK

    @property
    def status(self) -> AppointmentStatus:
        """What it begins as."""
        if self.proposed:
            return AppointmentStatus.PROPOSED
        return AppointmentStatus.PENDING if self.held_until else AppointmentStatus.BOOKED

    @property
    def time(self) -> Time:
        """When and where it is wanted."""
        fields = self.start, self.end, self.service_id, self.location_id, self.override
        return Time(self.doctor_id, *fields, self.patient_id)


async def book(
    store: Store,
    clinic: Clinic,
    me: Me,
    *,
    patient_id: UUID,
    doctor_id: UUID,
    start: datetime,
    **details: Any,
) -> OpenAppointment:
    """Book a visit (`details`: what else a Visit has) and return it: one look, and one statement that takes the time.

    Raises Invalid for a time or a service that cannot be, NotFound for a patient the caller may not book for
    or a doctor who is not there, and SlotTaken when doctor, patient or room is engaged then.
    """
    visit = Visit(patient_id, doctor_id, start, **details)
    refuse_impossible(start, visit.end)
    plan = await _looked_up(store, clinic, me, visit)
    resource = Resource(
        ResourceType.APPOINTMENT,
        id=new_id(),
        patient_id=plan["patient_id"],
        doctor_id=doctor_id,
        department=plan["visited"],
        **related(plan),
    )
    patient = resource_of(plan)
    await require_sight(clinic, me, patient, within=patient)
    await clinic.gate.require(me, visit.right, resource, within=patient)
    terms = await admitted(clinic, me, [resource], visit.time, plan)
    row = await _taken(store, clinic, me, resource, terms, visit, plan)
    if row is None and plan["overdue"]:
        async with store.transaction() as session:
            await lapse(session, clinic)
        row = await _taken(store, clinic, me, resource, terms, visit, plan)
    if row is None:
        raise SlotTaken(visit.time)
    return _as_booked(row, visit.reason)


async def _looked_up(store: Store, clinic: Clinic, me: Me, visit: Visit) -> Mapping[str, Any]:
    """Return what the booking is judged by; raise NotFound for a patient who is not there."""
    wanted = {"patient_id": visit.patient_id, **asked(visit.time), **asking(me)}
    plan: Mapping[str, Any] | None = await store.one(_PLAN, **wanted)
    if plan is None:
        await clinic.gate.absent(me, visit.right, ResourceType.PATIENT, visit.patient_id)
    return plan


async def _taken(
    store: Store,
    clinic: Clinic,
    me: Me,
    resource: Resource,
    terms: Terms,
    visit: Visit,
    plan: Mapping[str, Any],
) -> Mapping[str, Any] | None:
    """Take the first seat that is free, if one is."""
    row, key = _row(resource, terms, visit, plan, me), await clinic.key(plan)

    def cells(permit: Permit) -> Mapping[str, Any]:
        return clinic.vault.seal(permit, Appointment, key, row["id"], reason=visit.reason)

    places = await seats(store, terms, None if visit.proposed else row["session_id"])
    return await take(store, clinic, me, resource, places, row, cells, right=visit.right)


def _row(
    resource: Resource, terms: Terms, visit: Visit, plan: Mapping[str, Any], me: Me
) -> dict[str, Any]:
    end = visit.end or visit.start + terms.duration
    blocked_from, blocked_until = terms.blocked(visit.start, end)
    return {
        "id": resource.id,
        "patient_id": plan["patient_id"],
        "key_id": plan["key_id"],
        "doctor_id": visit.doctor_id,
        "service_id": terms.service_id,
        "status": visit.status,
        "held_until": visit.held_until,
        "starts_at": visit.start,
        "ends_at": end,
        "blocked_from": blocked_from,
        "blocked_until": blocked_until,
        "session_id": terms.session(visit.doctor_id, visit.start),
        "series_id": visit.series_id,
        "capacity": terms.capacity,
        "created_by": me.subject.id,
        "created_at": now(),
    }


def _as_booked(row: Mapping[str, Any], reason: str | None) -> OpenAppointment:
    return OpenAppointment(
        id=row["id"],
        patient_id=row["patient_id"],
        doctor_id=row["doctor_id"],
        service_id=row["service_id"],
        location_id=row["location_id"],
        coverage_id=row["coverage_id"],
        status=row["status"],
        start=row["starts_at"].astimezone(UTC),
        end=row["ends_at"].astimezone(UTC),
        version=1,
        created_at=row["created_at"],
        reason=reason,
        held_until=row["held_until"],
        series_id=row["series_id"],
    )


def refuse_impossible(start: datetime, end: datetime | None) -> None:
    """Raise Invalid for a time that no visit can have."""
    if start.tzinfo is None or (end and end.tzinfo is None):
        raise Invalid(errors=[FieldError("/start", "time-zone", "a time needs its offset")])
    if end and not start < end <= start + LONGEST:
        raise Invalid(
            errors=[FieldError("/end", "order", "a visit ends after it starts, within 12 h")]
        )
