"""The hours that may offer a visit: weekly windows and extra hours, fetched for many doctors as few rows.

Doctors with the same window and the same terms come as one row, so a thousand of them cost what their patterns cost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    exists,
    func,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from core.database import Query
from records.base import table_of
from records.people.doctors import specialised
from records.people.models import Doctor
from records.scheduling.availability import Closed, Extra, Hours, Weekly, holidays_of
from records.scheduling.supply import (
    DoctorLocation,
    HolidayCalendar,
    Location,
    Schedule,
    Service,
    TimeOff,
    TimeOffKind,
)
from records.scheduling.terms import COLUMNS, OFFERED, Terms, doctors_and, terms_of

_doctor, _weekly, _off = table_of(Doctor).c, table_of(Schedule).c, table_of(TimeOff).c
_place, _practice = table_of(Location).c, table_of(DoctorLocation).c
_service, _calendar = table_of(Service).c, table_of(HolidayCalendar).c

_OF_WEEKLY: Final = [
    _weekly.weekday,
    _weekly.start_time,
    _weekly.end_time,
    _weekly.time_zone,
    _weekly.valid_from,
    _weekly.valid_until,
]
_OF_EXTRA: Final = [_off.starts_at, _off.ends_at]
CALENDARS: Final = (
    select(func.coalesce(func.array_agg(_calendar.calendar), cast([], ARRAY(Text))))
    .scalar_subquery()
    .label("calendars")
)


_WANTED: Final[Mapping[str, ColumnElement[Any]]] = {
    "doctors": bindparam("doctors", type_=ARRAY(PGUUID())),
    "specialty": bindparam("specialty", type_=Text()),
    "service_id": bindparam("service_id", type_=PGUUID()),
    "location_id": bindparam("location_id", type_=PGUUID()),
}
"""What a search may be narrowed by."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose free time is asked for, of what and where, with starts in [since, until).

    With a patient, who is engaged as well is not free; of their visits, `moving` is not counted: it is to be moved.
    """

    since: datetime
    until: datetime
    doctors: tuple[UUID, ...] = ()
    specialty: str | None = None
    service_id: UUID | None = None
    location_id: UUID | None = None
    patient_id: UUID | None = None
    moving: UUID | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What the query of `supplies` is bound to."""
        return {
            "since": self.since,
            "until": self.until,
            # A day more on either side than in UTC, for zones differ; one more before, for windows over midnight.
            "first": self.since.date() - timedelta(days=2),
            "last": self.until.date() + timedelta(days=1),
            **{name: getattr(self, name) for name in _WANTED},
        }


@dataclass(frozen=True, slots=True)
class Supply:
    """Doctors who have the same hours on the same terms; `location_id` is where these hours are."""

    doctors: tuple[UUID, ...]
    terms: Terms
    hours: Hours
    location_id: UUID | None
    closed: Closed


def supplies(wanted: Wanted) -> Query:
    """Return the query of all hours that may offer what is wanted; its rows are for `supply_of`."""
    return _supplies(frozenset(name for name in _WANTED if getattr(wanted, name)))


@cache
def _supplies(by: frozenset[str]) -> Query:
    first, last = bindparam("first", type_=Date()), bindparam("last", type_=Date())
    since, until = (bindparam(n, type_=DateTime(timezone=True)) for n in ("since", "until"))
    weekly = _offering(
        by, Schedule, _OF_WEEKLY, [cast(null(), c.type).label(c.name) for c in _OF_EXTRA]
    ).where(
        _weekly.valid_from <= last,
        or_(_weekly.valid_until.is_(None), _weekly.valid_until >= first),
    )
    extra = _offering(
        by, TimeOff, _OF_EXTRA, [cast(null(), c.type).label(c.name) for c in _OF_WEEKLY]
    ).where(_off.kind == TimeOffKind.EXTRA, _off.starts_at < until, _off.ends_at > since)
    names = [c.name for c in weekly.selected_columns]
    aligned = extra.with_only_columns(*(extra.selected_columns[name] for name in names))
    return Query(select(union_all(weekly, aligned).subquery(), CALENDARS))


def supply_of(row: Mapping[str, Any]) -> Supply:
    """Return a row of `supplies` as a value."""
    terms = terms_of(row)
    place = terms.location_id or row["hours_location_id"]
    closed = holidays_of(tuple(row["calendars"]))
    return Supply(tuple(row["doctors"]), terms, hours_of(row), place, closed)


def hours_of(row: Mapping[str, Any]) -> Hours:
    """Return the hours that a row of a weekly window, or of extra hours, tells."""
    step = timedelta(minutes=row["slot_minutes"])
    if row["weekday"] is None:
        return Extra(row["starts_at"], row["ends_at"], step)
    weekday, start, end, zone, first, last = (row[c.name] for c in _OF_WEEKLY)
    return Weekly(weekday, start, end, zone, first, last, step)


def _offering(
    by: frozenset[str], of: type[Schedule] | type[TimeOff], own: list[Any], blank: list[Any]
) -> Select[Any]:
    """Select the hours of one table of those doctors who offer what is wanted, like ones together."""
    hours = table_of(of)
    service = func.coalesce(hours.c.service_id, _WANTED["service_id"])
    key = [*own, hours.c.slot_minutes, hours.c.location_id.label("hours_location_id")]
    columns = [func.array_agg(_doctor.id).label("doctors"), *key, *blank]
    joined = table_of(Doctor).join(hours, hours.c.doctor_id == _doctor.id)
    statement = doctors_and(service, *columns, start=joined).group_by(*key, *COLUMNS)
    return statement.where(*_filters(by, hours.c, service))


def _filters(
    by: frozenset[str], hours: Any, service: ColumnElement[Any]
) -> list[ColumnElement[bool]]:
    """Return what makes hours worth looking at: of such a doctor, for such a service, at such a place."""
    found: list[ColumnElement[bool]] = [_doctor.active, or_(service.is_(None), OFFERED)]
    if "doctors" in by:
        found.append(_doctor.id == any_(_WANTED["doctors"]))
    if "specialty" in by:
        found.append(specialised(_WANTED["specialty"]))
    if "service_id" in by:
        found.append(or_(hours.service_id.is_(None), hours.service_id == _WANTED["service_id"]))
    if "location_id" in by:
        found.append(_at(_WANTED["location_id"], hours))
    return found


def _at(location_id: ColumnElement[Any], hours: Any) -> ColumnElement[bool]:
    """Return whether a visit is at a place or in a room of it; one without a place is where the doctor practises."""
    inside = select(_place.id).where(or_(_place.id == location_id, _place.site_id == location_id))
    practises = exists().where(_practice.doctor_id == _doctor.id, _practice.location_id.in_(inside))
    return func.coalesce(
        func.coalesce(_service.location_id, hours.location_id).in_(inside), practises
    )
