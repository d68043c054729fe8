"""What the clinic has to offer: kinds of visit, places, and the hours of its doctors. Free time itself is never stored."""

from datetime import date, datetime, time
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from records.base import Row, moment, one_of, word


class LocationKind(StrEnum):
    """A site (a house, a ward) holds many visits at once; a room holds one."""

    SITE = "site"
    ROOM = "room"


class Location(Row, table=True):
    """A place of the clinic. A room is bookable: it is never taken twice. `room_kind` is what it is equipped for."""

    __tablename__ = "location"
    __table_args__ = (
        one_of("kind", LocationKind),
        CheckConstraint("length(name) > 0", name="name"),
        CheckConstraint(
            "kind = 'room' OR room_kind IS NULL AND site_id IS NULL", name="only_rooms"
        ),
    )

    name: str = word(max_length=100)
    kind: LocationKind = word(LocationKind.ROOM)
    room_kind: str | None = word(None, max_length=40)
    site_id: UUID | None = Field(default=None, foreign_key="location.id", index=True)
    active: bool = True
    version: int = 1
    created_at: datetime = moment(default=True)


def _within(bounds: dict[str, tuple[int, int]]) -> list[CheckConstraint]:
    return [
        CheckConstraint(f"{name} BETWEEN {low} AND {high}", name=name)
        for name, (low, high) in bounds.items()
    ]


BOUNDS = {
    "duration_minutes": (5, 720),
    "buffer_before_minutes": (0, 240),
    "buffer_after_minutes": (0, 240),
    "notice_minutes": (0, 525_600),
    "horizon_days": (1, 1_095),
    "capacity": (1, 100),
}
"""The least and the most of each figure of a service."""


class Service(Row, table=True):
    """A kind of visit: how long, what around it, how soon and how far ahead, for how many at once, and where.

    Doctors with its `specialty` offer it, or all where it names none; `doctor_service` says otherwise.
    """

    __tablename__ = "service"
    __table_args__ = (*_within(BOUNDS), CheckConstraint("length(name) > 0", name="name"))

    name: str = word(max_length=100)
    specialty: str | None = word(None, max_length=40)
    duration_minutes: int = 30
    buffer_before_minutes: int = 0
    buffer_after_minutes: int = 0
    notice_minutes: int = 0
    horizon_days: int = 365
    capacity: int = 1
    room_kind: str | None = word(None, max_length=40)
    location_id: UUID | None = Field(default=None, foreign_key="location.id")
    active: bool = True
    version: int = 1
    created_at: datetime = moment(default=True)


class DoctorService(SQLModel, table=True):
    """What one doctor does otherwise than the service says, field by field; NULL is what the service says."""

    __tablename__ = "doctor_service"
    __table_args__ = tuple(_within(BOUNDS))

    doctor_id: UUID = Field(foreign_key="doctor.id", primary_key=True)
    service_id: UUID = Field(foreign_key="service.id", primary_key=True)
    offered: bool = True
    duration_minutes: int | None = None
    buffer_before_minutes: int | None = None
    buffer_after_minutes: int | None = None
    notice_minutes: int | None = None
    horizon_days: int | None = None
    capacity: int | None = None
    version: int = 1


class DoctorLocation(SQLModel, table=True):
    """A place where a doctor practises."""

    __tablename__ = "doctor_location"

    doctor_id: UUID = Field(foreign_key="doctor.id", primary_key=True)
    location_id: UUID = Field(foreign_key="location.id", primary_key=True, index=True)


class Schedule(Row, table=True):
    """A weekly window of a doctor in local time, under its start's ISO weekday (Monday is 1).

    An end at or before the start is one of the next day; 00:00 is then the end of the day.
    """

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
    service_id: UUID | None = Field(default=None, foreign_key="service.id")
    location_id: UUID | None = Field(default=None, foreign_key="location.id")
    slot_minutes: int = 30
    version: int = 1


class HolidayCalendar(Row, table=True):
    """A country, or a part of one, on whose public holidays no weekly window opens: `US-MA`, `DE-BY`."""

    __tablename__ = "holiday_calendar"
    __table_args__ = (UniqueConstraint("calendar"),)

    calendar: str = word(max_length=20)
    version: int = 1


class TimeOffKind(StrEnum):
    ABSENCE = "absence"
    EXTRA = "extra"


class TimeOff(Row, table=True):
    """An exception from the weekly windows, which it beats: absence, or extra hours. No doctor: the clinic is closed."""

    __tablename__ = "time_off"
    __table_args__ = (
        one_of("kind", TimeOffKind),
        CheckConstraint("ends_at > starts_at", name="order"),
        CheckConstraint("slot_minutes BETWEEN 5 AND 480", name="slot_minutes"),
        CheckConstraint("kind = 'absence' OR doctor_id IS NOT NULL", name="whose_hours"),
        Index("ix_time_off_doctor", "doctor_id", "starts_at"),
    )

    doctor_id: UUID | None = Field(default=None, foreign_key="doctor.id")
    kind: TimeOffKind = word(TimeOffKind.ABSENCE)
    starts_at: datetime = moment()
    ends_at: datetime = moment()
    service_id: UUID | None = Field(default=None, foreign_key="service.id")
    location_id: UUID | None = Field(default=None, foreign_key="location.id")
    slot_minutes: int = 30
    version: int = 1
    created_at: datetime = moment(default=True)
