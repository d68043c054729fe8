"""Reading appointments: one, or a list by doctor, patient, day and status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import UUID as PGUUID
from sqlalchemy import Select, bindparam, exists, func, text

from core.crypto.envelope import Value
from core.database import Query
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking, department_of, ids_of, related, relations
from records.base import table_of
from records.clinic import Clinic
from records.people.models import Doctor
from records.people.reading import patient_in_sight
from records.scheduling.models import BLOCKING, Appointment
from records.vault.vault import sealed_rows

_visit, _doctor = table_of(Appointment).c, table_of(Doctor).c
COLUMNS: Final = {
    "id": _visit.id,
    "patient_id": _visit.person_id,
    "doctor_id": _visit.doctor_id,
    "status": _visit.status,
    "department": department_of(_visit.doctor_id),
    **relations(_visit.patient_id),
}


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


UNATTENDED: Final = (
    _visit.starts_at > func.now(),
    text(BLOCKING),
    exists().where(_doctor.id == _visit.doctor_id, ~_doctor.active),
)
"""What puts a visit on the work list."""


_HEAD: Final = (
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


def selected(*others: Any) -> Select[Any]:
    """Return the SELECT of appointments: what is shown, what is decided on, and what opens them."""
    facts = [c.label(n) for n, c in COLUMNS.items() if n not in ("id", "patient_id")]
    person = COLUMNS["patient_id"].label("person_id")
    return sealed_rows(Appointment, *_HEAD, person, *facts, *others)


_ONE: Final = Query(selected().where(_visit.id == bindparam("appointment_id", type_=PGUUID())))


async def read_appointment(clinic: Clinic, me: Me, appointment_id: UUID) -> OpenAppointment:
    """Return one appointment, or raise NotFound alike for hidden and absent ones."""
    row = await clinic.database.one(_ONE, appointment_id=appointment_id, **asking(me))
    if row is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.APPOINTMENT, appointment_id)
    permit = await clinic.gate.read(me, Action.READ, resource_of(row))
    return opened(row, await clinic.reveal(me, permit, Appointment, row))


async def list_appointments(
    clinic: Clinic, me: Me, wanted: Wanted, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[OpenAppointment], UUID | None]:
    """Return the appointments the caller may see, newest first, and where the next page starts."""
    statement = _filtered(wanted).where(clinic.visible(me, ResourceType.APPOINTMENT, COLUMNS))
    statement = statement.order_by(_visit.id.desc()).limit(limit + 1)
    if after:
        statement = statement.where(_visit.id < after)
    rows = await clinic.database.select(statement, asking(me))
    page = rows[:limit]
    permits = await clinic.gate.disclose(me, ResourceType.APPOINTMENT, map(resource_of, page))
    shown = [
        opened(row, await clinic.reveal(me, permits[row["resource_id"]], Appointment, row))
        for row in page
        if row["resource_id"] in permits
    ]
    return shown, page[-1]["resource_id"] if len(rows) > limit else None


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


def _filtered(wanted: Wanted) -> Select[Any]:
    statement = selected()
    if wanted.doctor_id:
        statement = statement.where(_visit.doctor_id == wanted.doctor_id)
    if wanted.series_id:
        statement = statement.where(_visit.series_id == wanted.series_id)
    if wanted.patient_id:
        statement = statement.where(_visit.patient_id.in_(ids_of(wanted.patient_id)))
    if wanted.status:
        statement = statement.where(_visit.status == wanted.status)
    if wanted.unattended:
        statement = statement.where(*UNATTENDED)
    if wanted.held:
        statement = statement.where(_visit.held_until > func.now())
    if wanted.day:
        zone = ZoneInfo(wanted.zone)
        morning = datetime.combine(wanted.day, time(), zone)
        evening = datetime.combine(wanted.day + timedelta(days=1), time(), zone)
        statement = statement.where(_visit.starts_at >= morning, _visit.starts_at < evening)
    return statement


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
