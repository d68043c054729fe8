"""Whether a time may be booked at all: the doctor's hours, the notice and the horizon of the service.

A time is admitted if slot search would offer it: shown is bookable, and not shown is not. Whom the policy lets `override`
may book another time on purpose, and doctors who have no hours at all at any time; a visit in the past, nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import UUID as PGUUID
from sqlalchemy import and_, bindparam, text

from core.clock import now
from core.database import Query, Store
from core.errors import FieldError, Invalid, NotFound
from policies.facts import Resource
from policies.vocabulary import Action
from records.access.me import Me
from records.base import table_of
from records.clinic import Clinic
from records.people.models import Doctor
from records.scheduling.availability import Extra, Hours, Weekly, holidays_of
from records.scheduling.hours import CALENDARS
from records.scheduling.terms import OFFERED, Terms, doctors_and, terms_of

_doctor = table_of(Doctor).c
_INSTANT: Final = timedelta(microseconds=1)
WITHIN: Final = and_(_doctor.id == bindparam("doctor_id", type_=PGUUID()), _doctor.active)
"""Which doctor is asked."""
SERVICE: Final = bindparam("service_id", type_=PGUUID())
RULES: Final = (
    OFFERED.label("offered"),
    CALENDARS,
    text("(SELECT json_agg(s) FROM schedule s WHERE s.doctor_id = doctor.id)::text AS windows"),
    text(
        "(SELECT json_agg(o) FROM time_off o WHERE o.doctor_id = doctor.id AND o.kind = 'extra')::text"
        " AS extras"
    ),
    text(
        "(SELECT site_id FROM location"
        " WHERE id = coalesce(service.location_id, CAST(:location_id AS uuid))) AS site_id"
    ),
    text(
        "ARRAY(SELECT l.id FROM time_off o LEFT JOIN location l ON o.location_id IN (l.id, l.site_id)"
        " WHERE o.kind = 'absence' AND (o.doctor_id = doctor.id OR o.doctor_id IS NULL)"
        " AND o.ends_at > CAST(:since AS timestamptz)"
        " AND o.starts_at < coalesce(CAST(:until AS timestamptz), CAST(:since AS timestamptz)"
        "  + make_interval(mins => coalesce(doctor_service.duration_minutes, service.duration_minutes, 30)))) AS away"
    ),
)
"""What the rules about a time look at, for `doctors_and`. `away`: the places at which the doctor is not then, or nobody is, each
site with its rooms; NULL is everywhere."""
OF_DOCTOR: Final = Query(doctors_and(SERVICE, _doctor.id.label("doctor_id"), *RULES).where(WITHIN))
"""What the rules about a time look at, where the doctor is all that is asked for."""


class OutsideAvailability(Invalid):
    """The doctor has no hours then, or is away, or the clinic is closed."""

    code = "outside-availability"


class TooSoon(Invalid):
    """The service wants longer notice."""

    code = "too-soon"


class TooFar(Invalid):
    """The service is not booked so far ahead."""

    code = "too-far"


class Past(Invalid):
    """That time has passed."""

    code = "past"


@dataclass(frozen=True, slots=True)
class Time:
    """When and where a visit is wanted, by whom, and whether on purpose outside the rules; `moving` is the one that is there."""

    doctor_id: UUID
    start: datetime
    end: datetime | None = None
    service_id: UUID | None = None
    location_id: UUID | None = None
    override: bool = False
    patient_id: UUID | None = None
    moving: UUID | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """The terms of a time, and where; the rule that it breaks, if any; whether the doctor has hours at all."""

    terms: Terms
    refusal: Invalid | None
    hours: bool


async def admit(
    store: Store, clinic: Clinic, me: Me, resources: Sequence[Resource], wanted: Time
) -> Terms:
    """Return the terms on which a time may be booked, or raise as `admitted` does."""
    row = await store.one(OF_DOCTOR, **asked(wanted))
    return await admitted(clinic, me, resources, wanted, row)


def asked(wanted: Time) -> Mapping[str, Any]:
    """Return the parameters of RULES and WITHIN."""
    return {
        "doctor_id": wanted.doctor_id,
        "service_id": wanted.service_id,
        "location_id": wanted.location_id,
        "since": wanted.start,
        "until": wanted.end,
    }


async def admitted(
    clinic: Clinic,
    me: Me,
    resources: Sequence[Resource],
    wanted: Time,
    found: Mapping[str, Any] | None,
) -> Terms:
    """Judge a time by what RULES found; return the terms on which it may be booked, and where.

    `resources` are the images of the visit, each of which the policy must let be where no rule allows it. Raises NotFound
    for a doctor who is not there, and Invalid with the rule's name for a time that is not offered.
    """
    time = judged(wanted, found)
    if time.refusal and not wanted.override:
        raise time.refusal
    if time.refusal:
        for resource in resources:
            await clinic.gate.require(me, Action.OVERRIDE, resource, within=resources[0])
    elif not time.hours and not all(clinic.gate.may(me, Action.OVERRIDE, r) for r in resources):
        raise _refusal(OutsideAvailability, "this doctor has no hours that are for everybody")
    return time.terms


def judged(wanted: Time, found: Mapping[str, Any] | None) -> Judged:
    """Judge a time by what RULES found; raise NotFound and Invalid for what cannot be at all."""
    row = _found(wanted, found)
    terms, windows = terms_of(row), list(_windows(row))
    place = terms.location_id or wanted.location_id
    away = {None, place} & {*row["away"]}
    length = wanted.end - wanted.start if wanted.end else terms.duration
    fitting = [
        at
        for service, at, hours in windows
        if service in (None, terms.service_id)
        and (at is None or place in (None, at) or at == row["site_id"])
        and (place or at) not in row["away"]
        and _offers(hours, wanted.start, length, row["calendars"])
    ]
    refusal = _broken(terms, wanted.start, away=bool(away), offered=bool(fitting or not windows))
    there = replace(terms, location_id=place or next(iter(fitting), None))
    return Judged(there, refusal, bool(windows))


def _broken(terms: Terms, start: datetime, *, away: bool, offered: bool) -> Invalid | None:
    """Return the rule that a start breaks, if any."""
    earliest, latest = terms.bookable(now())
    if start < earliest:
        return _refusal(TooSoon, "the service wants longer notice")
    if start >= latest:
        return _refusal(TooFar, "the service is not booked so far ahead")
    if away or not offered:
        return _refusal(OutsideAvailability, "the doctor does not begin such a visit then")
    return None


def _refusal(kind: type[Invalid], message: str) -> Invalid:
    return kind(message, errors=[FieldError("/start", kind.code, message)])


def _found(wanted: Time, row: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return what was found, unless the time, the doctor or the service cannot be at all."""
    if wanted.start <= now():
        raise _refusal(Past, "this time has passed")
    if row is None or row["doctor_id"] is None:
        raise NotFound("there is no such doctor")
    if wanted.service_id and not row["offered"]:
        fault = FieldError("/service_id", "not-offered", "this doctor does not offer this service")
        raise Invalid(errors=[fault])
    return row


def _offers(hours: Hours, start: datetime, length: timedelta, calendars: list[str]) -> bool:
    closed = holidays_of(tuple(calendars))
    return any(hours.starts(length, start, start + _INSTANT, closed))


def _windows(row: Mapping[str, Any]) -> Iterator[tuple[UUID | None, UUID | None, Hours]]:
    """Yield all hours of a doctor, each with the service and the place it is bound to."""
    for found in orjson.loads(row["windows"] or "[]"):
        yield *_bound(found), _weekly(found)
    for found in orjson.loads(row["extras"] or "[]"):
        start, end = (
            datetime.fromisoformat(found[n]).astimezone(UTC) for n in ("starts_at", "ends_at")
        )
        yield *_bound(found), Extra(start, end, timedelta(minutes=found["slot_minutes"]))


def _bound(found: Mapping[str, Any]) -> tuple[UUID | None, UUID | None]:
    service, place = found["service_id"], found["location_id"]
    return UUID(service) if service else None, UUID(place) if place else None


def _weekly(found: Mapping[str, Any]) -> Weekly:
    until = found["valid_until"]
    return Weekly(
        found["weekday"],
        time.fromisoformat(found["start_time"]),
        time.fromisoformat(found["end_time"]),
        found["time_zone"],
        date.fromisoformat(found["valid_from"]),
        date.fromisoformat(until) if until else None,
        timedelta(minutes=found["slot_minutes"]),
    )
