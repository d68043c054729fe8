"""Reading appointments: one, or a list by doctor, patient, day and status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import UUID as PGUUID
from sqlalchemy import ColumnElement, DateTime, Select, Text, bindparam, exists, func, text

from core.crypto.envelope import Value
from core.database import Query
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.listing import BEFORE, Listing, cut, page, with_facts
from records.access.me import Me
from records.access.relations import asking, department_of, ids_of, related, relations
from records.base import table_of
from records.clinic import Clinic
from records.people.models import Doctor
from records.people.reading import patient_in_sight
from records.scheduling.models import BLOCKING, Appointment
from records.vault.vault import sealed_rows, still_there

_visit, _doctor = table_of(Appointment).c, table_of(Doctor).c


def facts_of(visit: Any) -> dict[str, ColumnElement[Any]]:
    """Return what a rule may ask of an appointment, as SQL over a row of it."""
    return {
        "patient_id": visit.person_id,
        "doctor_id": visit.doctor_id,
        "status": visit.status,
        "department": department_of(visit.doctor_id),
        **relations(visit.patient_id),
    }


COLUMNS: Final = {"id": _visit.id, **facts_of(_visit)}


@dataclass(frozen=True, slots=True)
class OpenAppointment:
    """An appointment as a reader sees it."""

    id: UUID
    patient_id: UUID
    doctor_id: UUID
    service_id: UUID | None
    location_id: UUID | None
    coverage_id: UUID | None
    status: str
    start: datetime
    end: datetime
    version: int
    created_at: datetime
    reason: Value | None
    cancellation_reason: str | None = None
    moves: int = 0
    held_until: datetime | None = None
    series_id: UUID | None = None
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which appointments a list is of. `day` is a day of the clinic's own calendar."""

    zone: str
    doctor_id: UUID | None = None
    patient_id: UUID | None = None
    day: date | None = None
    status: str | None = None
    series_id: UUID | None = None
    held: bool = False
    unattended: bool = False


UNATTENDED: Final[Sequence[Any]] = (
    _visit.starts_at > func.now(),
    text(BLOCKING),
    exists().where(_doctor.id == _visit.doctor_id, ~_doctor.active),
)
"""What puts a visit on the work list."""


_HEAD: Final = (
    _visit.person_id,
    _visit.doctor_id,
    _visit.status,
    _visit.service_id,
    _visit.location_id,
    _visit.coverage_id,
    _visit.starts_at,
    _visit.ends_at,
    _visit.version,
    _visit.created_at,
    _visit.cancellation_reason,
    _visit.moves,
    _visit.held_until,
    _visit.series_id,
)


def _moment(name: str) -> ColumnElement[datetime]:
    return bindparam(name, type_=DateTime(timezone=True))


def selected(*others: Any) -> Select[Any]:
    """Return the SELECT of appointments: what is shown, what is decided on, and what opens them."""
    return with_facts(sealed_rows(Appointment, *_HEAD, *others), facts_of)


_FILTERS: Final[Mapping[str, Sequence[ColumnElement[bool]]]] = {
    "doctor_id": [_visit.doctor_id == bindparam("doctor_id", type_=PGUUID())],
    "series_id": [_visit.series_id == bindparam("series_id", type_=PGUUID())],
    "patient_id": [_visit.patient_id.in_(ids_of(bindparam("patient_id", type_=PGUUID())))],
    "status": [_visit.status == bindparam("status", type_=Text())],
    "unattended": UNATTENDED,
    "held": [_visit.held_until > func.now()],
    "day": [_visit.starts_at >= _moment("morning"), _visit.starts_at < _moment("evening")],
}
"""What of `Wanted` a statement can ask."""

ONE: Final = Query(selected().where(_visit.id == bindparam("appointment_id", type_=PGUUID())))


async def read_appointment(clinic: Clinic, me: Me, appointment_id: UUID) -> OpenAppointment:
    """Return one appointment, or raise NotFound alike for hidden and absent ones."""
    row = await clinic.database.one(ONE, appointment_id=appointment_id, **asking(me))
    if row is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.APPOINTMENT, appointment_id)
    permit = await clinic.gate.read(me, Action.READ, resource_of(row))
    return opened(row, await clinic.reveal(me, permit, Appointment, row))


async def list_appointments(
    clinic: Clinic, me: Me, wanted: Wanted, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[OpenAppointment], UUID | None]:
    """Return the appointments the caller may see, newest first, and where the next page starts."""
    given, span = _asked(wanted), page(me, limit, after)
    query = clinic.gate.listed(me, _listing(frozenset(given)), span["limit"])
    rows = await clinic.database.all(query, **_days(wanted), **given, **span)
    first, last = cut(rows, limit)
    kind = ResourceType.APPOINTMENT
    found = await clinic.disclose(me, kind, Appointment, first, resource_of)
    return [opened(row, phi) for row, phi in found], last


async def list_patient_appointments(
    clinic: Clinic, me: Me, patient_id: UUID, zone: str, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[OpenAppointment], UUID | None]:
    """Return one patient's appointments; NotFound for a patient the caller may not see."""
    await patient_in_sight(clinic, me, patient_id)
    wanted = Wanted(zone, patient_id=patient_id)
    return await list_appointments(clinic, me, wanted, limit=limit, after=after)


def resource_of(row: Mapping[str, Any]) -> Resource:
    """Return what the policy looks at of a fetched appointment."""
    return Resource(
        ResourceType.APPOINTMENT,
        id=row["resource_id"],
        patient_id=row["person_id"],
        doctor_id=row["doctor_id"],
        status=row["status"],
        department=row["department"],
        **related(row),
        chart_id=row["patient_id"],
    )


@cache
def _listing(filters: frozenset[str]) -> Listing:
    """Return the listing of what fits filters of these names: a statement for each choice of them, compiled once."""
    fitting = [term for name in sorted(filters) for term in _FILTERS[name]]
    return listing_of(_visit.id < BEFORE, *fitting, order=[_visit.id.desc()])


def listing_of(*fitting: ColumnElement[bool], order: Sequence[Any]) -> Listing:
    """Return a listing of appointments whose patients were not erased."""
    rows = sealed_rows(Appointment, *_HEAD).where(still_there(), *fitting).order_by(*order)
    return Listing(ResourceType.APPOINTMENT, rows, facts_of)


def _asked(wanted: Wanted) -> Mapping[str, Any]:
    return {name: value for name in _FILTERS if (value := getattr(wanted, name))}


def _days(wanted: Wanted) -> Mapping[str, datetime]:
    if not wanted.day:
        return {}
    zone, next_day = ZoneInfo(wanted.zone), wanted.day + timedelta(days=1)
    morning, evening = (datetime.combine(d, time(), zone) for d in (wanted.day, next_day))
    return {"morning": morning, "evening": evening}


def opened(row: Mapping[str, Any], phi: Mapping[str, Value | None]) -> OpenAppointment:
    """Return a fetched row, with its PHI, as a reader sees it."""
    return OpenAppointment(
        id=row["resource_id"],
        patient_id=row["patient_id"],
        doctor_id=row["doctor_id"],
        service_id=row["service_id"],
        location_id=row["location_id"],
        coverage_id=row["coverage_id"],
        status=row["status"],
        start=row["starts_at"],
        end=row["ends_at"],
        version=row["version"],
        created_at=row["created_at"],
        reason=phi["reason"],
        cancellation_reason=row["cancellation_reason"],
        moves=row["moves"],
        held_until=row["held_until"],
        series_id=row["series_id"],
    )
