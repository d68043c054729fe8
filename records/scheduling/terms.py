"""The terms a visit is booked on: what the doctor says of the service, where not the service itself."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, func, or_, select

from records.base import table_of
from records.people.models import Doctor, DoctorSpecialty
from records.scheduling.supply import BOUNDS, DoctorService, Service

EVER: Final = timedelta(days=36_525)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_doctor, _service, _own = table_of(Doctor).c, table_of(Service).c, table_of(DoctorService).c
_specialty = table_of(DoctorSpecialty).c


@dataclass(frozen=True, slots=True)
class Terms:
    """How one doctor does one service. Without a service: half an hour, no buffers, no notice, no horizon."""

    service_id: UUID | None = None
    duration_minutes: int = 30
    buffer_before_minutes: int = 0
    buffer_after_minutes: int = 0
    notice_minutes: int = 0
    horizon_days: int | None = None
    capacity: int = 1
    room_kind: str | None = None
    location_id: UUID | None = None

    @property
    def duration(self) -> timedelta:
        return timedelta(minutes=self.duration_minutes)

    def bookable(self, at: datetime) -> tuple[datetime, datetime]:
        """Return the first start that leaves the notice, and the last within the horizon."""
        ahead = timedelta(days=self.horizon_days) if self.horizon_days else EVER
        return at + timedelta(minutes=self.notice_minutes), at + ahead

    def blocked(self, start: datetime, end: datetime) -> tuple[datetime, datetime]:
        """Return the time that doctor and room give to a visit, buffers included."""
        return (
            start - timedelta(minutes=self.buffer_before_minutes),
            end + timedelta(minutes=self.buffer_after_minutes),
        )

    def session(self, doctor_id: UUID, start: datetime) -> UUID | None:
        """Return the name all seats of a group visit share; None for a visit of one patient."""
        return session_name(doctor_id, self.service_id, start) if self.capacity > 1 else None


def session_name(doctor_id: UUID, service_id: UUID | None, start: datetime) -> UUID:
    """Return the name of the group visit that a doctor holds at a time; the schema works out the same."""
    micros = (start - _EPOCH) // timedelta(microseconds=1)
    return UUID(bytes=sha256(f"{doctor_id} {service_id} {micros}".encode()).digest()[:16])


NO_SERVICE: Final = Terms()

OFFERS: Final[ColumnElement[bool]] = func.coalesce(
    _own.offered,
    or_(
        _service.specialty.is_(None),
        exists().where(_specialty.doctor_id == _doctor.id, _specialty.code == _service.specialty),
    ),
)
"""Whether the doctor of a row offers its service."""

COLUMNS: Final[list[ColumnElement[Any]]] = [
    _service.id.label("service_id"),
    *(func.coalesce(_own[name], _service[name]).label(name) for name in BOUNDS),
    _service.room_kind,
    _service.location_id,
]
OFFERED: Final = and_(_service.active, OFFERS)


def doctors_and(service: ColumnElement[Any], *columns: Any, start: Any = None) -> Select[Any]:
    """Return a SELECT of doctors (joined in `start` to others), each with the terms of a service, or NULLs."""
    return (
        select(*columns, *COLUMNS)
        .select_from(table_of(Doctor) if start is None else start)
        .outerjoin(table_of(Service), _service.id == service)
        .outerjoin(
            table_of(DoctorService),
            and_(_own.service_id == _service.id, _own.doctor_id == _doctor.id),
        )
    )


ONE: Final = doctors_and(
    bindparam("service_id", type_=PGUUID()), _doctor.id, OFFERED.label("offered")
).where(_doctor.id == bindparam("doctor_id", type_=PGUUID()), _doctor.active)
"""One active doctor, with their terms of one service."""


def terms_of(row: Mapping[str, Any]) -> Terms:
    """Return the terms that a row of `doctors_and` holds."""
    if row["service_id"] is None:
        return NO_SERVICE
    return Terms(**{field.name: row[field.name] for field in fields(Terms)})
