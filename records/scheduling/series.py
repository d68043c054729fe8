"""Series: the same visit every so many weeks, at the same hour of the clinic's day, all of them or those that fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from core.database import Session, attempt
from core.errors import Conflict, FieldError, Invalid, NotFound
from core.ids import new_id
from records.access.me import Me
from records.clinic import Clinic
from records.scheduling.availability import exactly
from records.scheduling.booking import book
from records.scheduling.reading import OpenAppointment, Wanted, list_appointments

LONGEST: Final = 52
"""Visits of a series at most: a year of weeks."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often and how many times; `fitting`: book those that fit instead of all or none."""

    zone: str
    count: int
    every_weeks: int = 1
    fitting: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """A visit of the series that was not booked: which one, when (None: no such hour that day), and why."""

    number: int
    start: datetime | None
    code: str


@dataclass(frozen=True, slots=True)
class Series:
    """What was booked under one id, and what was left out."""

    id: UUID
    items: Sequence[OpenAppointment]
    left_out: Sequence[Left] = ()


async def book_series(
    session: Session, clinic: Clinic, me: Me, rhythm: Rhythm, **visit: Any
) -> Series:
    """Book a series; raise what `book` raises, with the `number` of the visit, if one cannot be and all must."""
    series_id, made, left = new_id(), list[OpenAppointment](), list[Left]()
    visit |= {"series_id": series_id}
    start, end = visit.pop("start"), visit.pop("end", None)
    for number, time in enumerate(times(start, rhythm), 1):
        if time is None:
            left.append(Left(number, None, "no-such-hour"))
            continue
        until = time + (end - start) if end else None
        try:
            async with attempt(session):
                made.append(await book(session, clinic, me, start=time, end=until, **visit))
        except (Conflict, Invalid) as refusal:
            left.append(Left(number, time, _code(refusal)))
            if not rhythm.fitting:
                refusal.members["number"] = number
                raise
    if not made or (left and not rhythm.fitting):
        raise Invalid(
            errors=[FieldError("/start", x.code, f"visit {x.number} cannot be") for x in left]
        )
    return Series(series_id, made, left)


def times(start: datetime, rhythm: Rhythm) -> list[datetime | None]:
    """Return the times of a series: one hour of the clinic's day; None where the clocks skip it.

    Where an hour comes twice it is the first one, but for the start itself, which says which it is.
    """
    zone = ZoneInfo(rhythm.zone)
    first = start.astimezone(zone).replace(tzinfo=None)
    step = timedelta(weeks=rhythm.every_weeks)
    return [
        start.astimezone(UTC),
        *(exactly(first + n * step, zone) for n in range(1, rhythm.count)),
    ]


async def read_series(clinic: Clinic, me: Me, series_id: UUID) -> Series:
    """Return what the caller may see of a series, or raise NotFound."""
    wanted = Wanted("UTC", series_id=series_id)
    items, _ = await list_appointments(clinic, me, wanted, limit=LONGEST)
    if not items:
        raise NotFound("there is no such series")
    return Series(series_id, sorted(items, key=lambda visit: visit.start))


def _code(refusal: Conflict | Invalid) -> str:
    return refusal.errors[0].code if refusal.errors else refusal.code
