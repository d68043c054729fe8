"""Weekly availability and appointments. The exclusion constraints are the judge of every race."""

from datetime import date, datetime, time
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlmodel import Field

from core.crypto.envelope import Cell
from records.base import Protected, Row, moment, one_of, phi, sealed_by, word


class AppointmentStatus(StrEnum):
    """FHIR R4 AppointmentStatus."""

    PROPOSED = "proposed"
    PENDING = "pending"
    BOOKED = "booked"
    ARRIVED = "arrived"
    CHECKED_IN = "checked-in"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"
    NOSHOW = "noshow"
    ENTERED_IN_ERROR = "entered-in-error"
    WAITLIST = "waitlist"


BLOCKING = "status IN ('pending', 'booked', 'arrived', 'checked-in')"
"""The statuses in which an appointment holds its time; all others leave it free."""


def _never_twice(who: str) -> ExcludeConstraint:
    return ExcludeConstraint(
        (text(who), "="),
        (text("tstzrange(starts_at, ends_at)"), "&&"),
        name=f"{who.removesuffix('_id')}_taken",
        where=text(BLOCKING),
    )


class Appointment(Protected, table=True):
    """A patient's visit to a doctor, half-open in time: [starts_at, ends_at)."""

    __tablename__ = "appointment"
    __table_args__ = (
        sealed_by(),
        one_of("status", AppointmentStatus),
        UniqueConstraint("id", "patient_id"),
        CheckConstraint("ends_at > starts_at", name="order"),
        _never_twice("doctor_id"),
        _never_twice("patient_id"),
        Index("ix_appointment_doctor_day", "doctor_id", "starts_at"),
        Index("ix_appointment_patient_doctor", "patient_id", "doctor_id", "starts_at"),
    )

    patient_id: UUID = Field(foreign_key="patient.id")
    doctor_id: UUID = Field(foreign_key="doctor.id")
    status: AppointmentStatus = word(AppointmentStatus.BOOKED)
    starts_at: datetime = moment()
    ends_at: datetime = moment()
    reason: Cell | None = phi(nullable=True)
    source: str | None = word(None, max_length=200, unique=True)
    version: int = 1
    created_by: UUID = Field(foreign_key="account.id")
    created_at: datetime = moment(default=True)


class Schedule(Row, table=True):
    """A weekly window of a doctor, in the clinic's local time. ISO weekday: Monday is 1."""

    __tablename__ = "schedule"
    __table_args__ = (
        CheckConstraint("weekday BETWEEN 1 AND 7", name="weekday"),
        CheckConstraint("slot_minutes BETWEEN 5 AND 480", name="slot_minutes"),
        CheckConstraint("valid_until >= valid_from", name="validity"),
    )

    doctor_id: UUID = Field(foreign_key="doctor.id", index=True)
    weekday: int
    start_time: time
    end_time: time
    time_zone: str = word(max_length=60)
    valid_from: date
    valid_until: date | None = None
    slot_minutes: int = 30
