"""Weekly availability and appointments. The exclusion constraints are the judge of every race."""

from datetime import date, datetime, time
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
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


class Act(StrEnum):
    """What is done to an appointment once it is there; `records.scheduling.life` says when each may be."""

    CONFIRM = "confirm"
    CHECK_IN = "check-in"
    START = "start"
    COMPLETE = "complete"
    CANCEL = "cancel"
    NO_SHOW = "no-show"
    RESCHEDULE = "reschedule"
    EXPIRE = "expire"
    UNDO = "undo"
    ENTER_IN_ERROR = "enter-in-error"


class CancellationReason(StrEnum):
    """Why a visit did not take place: codes of FHIR's `appointment-cancellation-reason`, and one of ours."""

    PATIENT = "pat"
    PATIENT_DECEASED = "pat-dec"
    PATIENT_FEELING_BETTER = "pat-fb"
    PATIENT_LACK_OF_TRANSPORT = "pat-lt"
    PROVIDER = "prov"
    PROVIDER_PERSONAL = "prov-pers"
    PROVIDER_DISCHARGED = "prov-dch"
    PROVIDER_EDUCATION = "prov-edu"
    PROVIDER_HOSPITALISED = "prov-hosp"
    MAINTENANCE = "maint"
    MEDICATION_INCOMPLETE = "meds-inc"
    WEATHER = "oth-weath"
    MOVED_FORWARD = "oth-cms"
    OTHER = "other"
    HOLD_EXPIRED = "hold-expired"


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
        one_of("cancellation_reason", CancellationReason),
        CheckConstraint("ends_at > starts_at", name="order"),
        CheckConstraint(
            "cancellation_reason IS NULL OR status IN ('cancelled', 'noshow')",
            name="reason_of_cancelling",
        ),
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
    cancellation_reason: CancellationReason | None = word(None)
    moves: int = 0
    version: int = 1
    created_by: UUID = Field(foreign_key="account.id")
    created_at: datetime = moment(default=True)


class AppointmentChange(Protected, table=True):
    """One change of an appointment: who, when, why, from what to what. Rows are only ever added.

    `number` is the version the change made. Nobody in `changed_by` is the clinic's own clockwork.
    """

    __tablename__ = "appointment_change"
    __table_args__ = (
        sealed_by(),
        one_of("act", Act),
        one_of("from_status", AppointmentStatus),
        one_of("to_status", AppointmentStatus),
        one_of("reason_code", CancellationReason),
        ForeignKeyConstraint(
            ["appointment_id", "patient_id"], ["appointment.id", "appointment.patient_id"]
        ),
        UniqueConstraint("appointment_id", "number"),
    )
    resource: ClassVar[str] = "appointment_id"

    appointment_id: UUID
    number: int
    act: Act = word()
    from_status: AppointmentStatus = word()
    to_status: AppointmentStatus = word()
    from_start: datetime = moment()
    from_end: datetime = moment()
    to_start: datetime = moment()
    to_end: datetime = moment()
    reason_code: CancellationReason | None = word(None)
    note: Cell | None = phi(nullable=True)
    changed_by: UUID | None = Field(default=None, foreign_key="account.id")
    changed_at: datetime = moment(default=True)


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
