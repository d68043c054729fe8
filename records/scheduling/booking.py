"""Booking: the database judges. One INSERT tries the slot; the exclusion constraints decide every race.

`ON CONFLICT DO NOTHING` without a target counts exclusion constraints too, and loses a race without the deadlock that a plain
INSERT can run into.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from core.clock import now
from core.errors import Conflict, FieldError, Invalid, NotFound
from core.ids import new_id
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking
from records.base import Executor, table_of
from records.clinic import Clinic
from records.people.models import Doctor, Patient
from records.people.reading import FACTS, resource_of
from records.scheduling.models import Appointment
from records.scheduling.reading import OpenAppointment
from records.vault.vault import sealed_rows

DEFAULT_LENGTH: Final = timedelta(minutes=30)
LONGEST: Final = timedelta(hours=12)

_appointment, _doctor = table_of(Appointment), table_of(Doctor).c
_patient = table_of(Patient).c
_WHOM: Final = sealed_rows(Patient, *FACTS).where(
    _patient.id == bindparam("patient_id", type_=PGUUID()), _patient.active
)


async def book(
    session: Executor,
    clinic: Clinic,
    me: Me,
    *,
    patient_id: UUID,
    doctor_id: UUID,
    start: datetime,
    end: datetime | None = None,
    reason: str | None = None,
) -> OpenAppointment:
    """Book a visit and return it.

    Raises Invalid for a time that cannot be, NotFound for a patient the caller may not book for or a doctor
    who is not there, and Conflict(`slot-taken`) when doctor or patient is engaged at that time.
    """
    end = end or start + DEFAULT_LENGTH
    refuse_impossible(start, end)
    whom = await _whom(session, clinic, me, patient_id)
    resource = Resource(
        ResourceType.APPOINTMENT,
        id=new_id(),
        patient_id=patient_id,
        doctor_id=doctor_id,
        in_care_team=whom["in_care_team"],
        own_appointment=whom["own_appointment"],
    )
    permit = await clinic.gate.write(session, me, Action.BOOK, resource, within=resource_of(whom))
    await _refuse_absent(session, doctor_id)
    row = _sealed(clinic, permit, whom, doctor_id, start, end, reason)
    await _take(session, row)
    return _as_booked(row, reason)


def _sealed(
    clinic: Clinic,
    permit: Permit,
    whom: Mapping[str, Any],
    doctor_id: UUID,
    start: datetime,
    end: datetime,
    reason: str | None,
) -> Appointment:
    (appointment_id,) = permit.row_ids
    key = clinic.vault.key(whom)
    cells = clinic.vault.seal(permit, Appointment, key, appointment_id, reason=reason)
    return Appointment(
        id=appointment_id,
        patient_id=whom["patient_id"],
        key_id=key.key_id,
        doctor_id=doctor_id,
        starts_at=start,
        ends_at=end,
        created_by=permit.subject_id,
        **cells,
    )


async def _take(session: Executor, row: Appointment) -> None:
    values = {c: getattr(row, c) for c in _appointment.columns.keys()}  # noqa: SIM118 - a ColumnCollection
    taking = insert(_appointment).values(values).on_conflict_do_nothing()
    if (await session.execute(taking.returning(_appointment.c.id))).first() is None:
        raise Conflict(
            "doctor or patient is engaged at that time", code="slot-taken", retryable=True
        )


def _as_booked(row: Appointment, reason: str | None) -> OpenAppointment:
    return OpenAppointment(
        id=row.id,
        patient_id=row.patient_id,
        doctor_id=row.doctor_id,
        status=row.status,
        start=row.starts_at.astimezone(UTC),
        end=row.ends_at.astimezone(UTC),
        version=row.version,
        created_at=row.created_at,
        reason=reason,
    )


def refuse_impossible(start: datetime, end: datetime) -> None:
    """Raise Invalid for a time that no visit can have."""
    if start.tzinfo is None or end.tzinfo is None:
        raise Invalid(errors=[FieldError("/start", "time-zone", "a time needs its offset")])
    if not start < end <= start + LONGEST:
        raise Invalid(
            errors=[FieldError("/end", "order", "a visit ends after it starts, within 12 h")]
        )
    if start <= now():
        raise Invalid(errors=[FieldError("/start", "past", "this time has passed")])


async def _whom(session: Executor, clinic: Clinic, me: Me, patient_id: UUID) -> Mapping[str, Any]:
    found = await session.execute(_WHOM, {"patient_id": patient_id, **asking(me)})
    row: Mapping[str, Any] | None = found.mappings().first()
    if row is None:
        await clinic.gate.absent(me, Action.BOOK, ResourceType.PATIENT, patient_id)
    return row


async def _refuse_absent(session: Executor, doctor_id: UUID) -> None:
    found = await session.execute(select(_doctor.id).where(_doctor.id == doctor_id, _doctor.active))
    if found.first() is None:
        raise NotFound("there is no such doctor")
