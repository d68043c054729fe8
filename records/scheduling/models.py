"""Appointments. The exclusion constraints are the judge of every race."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlmodel import Field

from core.crypto.envelope import Cell
from records.anchors import FOUND
from records.base import Protected, moment, one_of, phi, sealed_by, word


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
    PATIENT_BY_PORTAL = "pat-cpp"
    SCHEDULED_FROM_WAITLIST = "pat-swl"
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
    ERROR = "oth-err"
    OTHER = "other"
    HOLD_EXPIRED = "hold-expired"


BLOCKING = "status IN ('pending', 'booked', 'arrived', 'checked-in')"
"""The statuses in which an appointment holds its time; all others leave it free."""


BUFFERED = "tstzrange(coalesce(blocked_from, starts_at), coalesce(blocked_until, ends_at))"
"""The time a visit takes from doctor and room: with the buffers around it. The patient is free of those."""

SESSION_NAME = (
    "substring(encode(sha256(convert_to(doctor_id::text || ' ' || service_id::text || ' ' ||"
    " (extract(epoch FROM starts_at) * 1000000)::bigint::text, 'UTF8')), 'hex') FOR 32)::uuid"
)
"""The name of a group visit, as `terms.session_name` works it out. It is checked, so that nobody who writes SQL can
let two visits pass for one by giving them one name. Each cast is written out: `uuid || text` is a function in SQL, which
PostgreSQL would parse anew at every INSERT."""

_SESSION = "coalesce(session_id, id)"


def _never_twice(
    name: str, *same: str, time: str = BUFFERED, where: str = BLOCKING
) -> ExcludeConstraint:
    """Forbid two blocking visits at one time that agree on `same`; seats of one session are one visit."""
    apart = [(text(_SESSION), "<>")] if time is BUFFERED else []
    alike = [(text(column), "=") for column in same]
    # The session stands last: in the middle it would part the index by random ids before it parts it by time.
    return ExcludeConstraint(*alike, (text(time), "&&"), *apart, name=name, where=text(where))


class Appointment(Protected, table=True):
    """A patient's visit to a doctor, half-open in time: [starts_at, ends_at).

    `blocked_from` and `blocked_until` are the buffers of its service, frozen (NULL: none). Of a group visit this
    is one seat: `lane` of `capacity`, frozen too, in the session that all its seats name. `exclusive`: the location
    is a room, which nobody else may be in. A pending one with `held_until` is a hold, good until then. `person_id` is whose
    it is when files of one person are joined: the foreign key keeps it, and it is what may not be in two places.
    """

    __tablename__ = "appointment"
    __table_args__ = (
        sealed_by(),
        one_of("status", AppointmentStatus),
        UniqueConstraint("id", "patient_id"),
        ForeignKeyConstraint(
            ["patient_id", "person_id"], ["patient.id", "patient.person_id"], onupdate="CASCADE"
        ),
        one_of("cancellation_reason", CancellationReason),
        CheckConstraint("ends_at > starts_at", name="order"),
        CheckConstraint(
            "cancellation_reason IS NULL OR status IN ('cancelled', 'noshow')",
            name="reason_of_cancelling",
        ),
        CheckConstraint(
            "blocked_from <= starts_at AND blocked_until >= ends_at", name="buffers_around"
        ),
        CheckConstraint("lane BETWEEN 1 AND capacity", name="lane"),
        CheckConstraint("(capacity > 1) = (session_id IS NOT NULL)", name="session"),
        CheckConstraint(
            f"session_id IS NULL OR service_id IS NOT NULL AND session_id = {SESSION_NAME}",
            name="session_name",
        ),
        _never_twice("doctor_taken", "doctor_id"),
        _never_twice("patient_taken", "person_id", time="tstzrange(starts_at, ends_at)"),
        _never_twice(
            "room_taken",
            "location_id",
            where=f"exclusive AND location_id IS NOT NULL AND {BLOCKING}",
        ),
        Index(
            "uq_appointment_lane",
            "session_id",
            "lane",
            unique=True,
            postgresql_where=text(f"session_id IS NOT NULL AND {BLOCKING}"),
        ),
        CheckConstraint("held_until IS NULL OR status = 'pending'", name="held"),
        Index(
            "ix_appointment_held_until",
            "held_until",
            postgresql_where=text("held_until IS NOT NULL"),
        ),
        Index("ix_appointment_unclosed", "ends_at", postgresql_where=text("status = 'booked'")),
        Index("ix_appointment_doctor_day", "doctor_id", "starts_at"),
        Index("ix_appointment_patient_doctor", "patient_id", "doctor_id", "starts_at"),
    )

    person_id: UUID = Field(sa_column_kwargs={"info": FOUND})
    doctor_id: UUID = Field(foreign_key="doctor.id")
    status: AppointmentStatus = word(AppointmentStatus.BOOKED)
    starts_at: datetime = moment()
    ends_at: datetime = moment()
    blocked_from: datetime | None = moment(nullable=True)
    blocked_until: datetime | None = moment(nullable=True)
    service_id: UUID | None = Field(default=None, foreign_key="service.id")
    location_id: UUID | None = Field(default=None, foreign_key="location.id")
    exclusive: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    session_id: UUID | None = None
    lane: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    capacity: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    coverage_id: UUID | None = Field(
        default=None, foreign_key="coverage.id", sa_column_kwargs={"info": FOUND}
    )
    reason: Cell | None = phi(nullable=True)
    source: str | None = word(None, max_length=200, unique=True)
    cancellation_reason: CancellationReason | None = word(None)
    moves: int = 0
    held_until: datetime | None = moment(nullable=True)
    series_id: UUID | None = Field(default=None, index=True)
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
    from_doctor_id: UUID = Field(foreign_key="doctor.id")
    to_doctor_id: UUID = Field(foreign_key="doctor.id")
    from_location_id: UUID | None = Field(default=None, foreign_key="location.id")
    to_location_id: UUID | None = Field(default=None, foreign_key="location.id")
    reason_code: CancellationReason | None = word(None)
    note: Cell | None = phi(nullable=True)
    changed_by: UUID | None = Field(default=None, foreign_key="account.id")
    changed_at: datetime = moment(default=True)
