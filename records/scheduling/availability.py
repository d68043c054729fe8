"""When a window offers time: pure functions of rules, zones and days. Free time is computed, and never stored.

A window is kept in local time, so 9 to 17 stays 9 to 17 across a change of clocks, and its grid is counted from
its own start. A local time that does not exist that day is not offered; one that comes twice is offered once, the first time.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import holidays as public

DAY: Final = timedelta(days=1)
Closed = Callable[[date], bool]
"""Whether a day is a public holiday."""


@dataclass(frozen=True, slots=True)
class Weekly:
    """A weekly window in local time under its start's ISO weekday; an end at or before the start is the next day's."""

    weekday: int
    start: time
    end: time
    zone: str
    valid_from: date
    valid_until: date | None
    step: timedelta

    def starts(
        self, length: timedelta, since: datetime, until: datetime, closed: Closed
    ) -> Iterator[datetime]:
        """Yield, in order, the starts in [since, until) from which `length` fits into the window of its day."""
        zone = ZoneInfo(self.zone)
        last = until.astimezone(zone).date()
        for day in self._days(since.astimezone(zone).date() - DAY, last):
            if closed(day):
                continue
            for start in self._starts_of(day, zone, length, since):
                if start >= until:
                    return
                if start >= since:
                    yield start

    def _days(self, first: date, last: date) -> Iterator[date]:
        """Yield the valid days of the window's weekday."""
        day = max(first, self.valid_from)
        day += DAY * ((self.weekday - day.isoweekday()) % 7)
        last = min(last, self.valid_until or last)
        while day <= last:
            yield day
            day += 7 * DAY

    def _starts_of(
        self, day: date, zone: ZoneInfo, length: timedelta, since: datetime
    ) -> Iterator[datetime]:
        """Yield the starts of a day, but for nearly all that clocks showed before `since`."""
        local = datetime.combine(day, self.start)
        end = datetime.combine(day, self.end)
        end += DAY if end <= local else timedelta()
        closing = boundary(end, zone)
        shown = since.astimezone(zone).replace(tzinfo=None)
        local += self.step * max(0, (shown - local) // self.step)
        while local < end:
            start = exactly(local, zone)
            if start and start + length <= closing:
                yield start
            local += self.step


@dataclass(frozen=True, slots=True)
class Extra:
    """Extra hours: one span of instants, holiday or not."""

    start: datetime
    end: datetime
    step: timedelta

    def starts(
        self,
        length: timedelta,
        since: datetime,
        until: datetime,
        closed: Closed,  # noqa: ARG002 - extra hours are extra on a holiday too
    ) -> Iterator[datetime]:
        """Yield, in order, the starts in [since, until) from which `length` fits."""
        start = self.start
        while start + length <= self.end and start < until:
            if start >= since:
                yield start
            start += self.step


Hours = Weekly | Extra


def exactly(local: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the instant of a local time, the first if it comes twice; None if it does not exist."""
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    return instant if instant.astimezone(zone).replace(tzinfo=None) == local else None


def boundary(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which local clocks reach a time: for one that does not exist, the change of clocks."""
    instant = exactly(local, zone)
    if instant:
        return instant
    before, after = (local.replace(tzinfo=zone, fold=f).astimezone(UTC) for f in (1, 0))
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        reached = middle.astimezone(zone).replace(tzinfo=None) >= local
        before, after = (before, middle) if reached else (middle, after)
    return after.replace(microsecond=0)


def holidays_of(calendars: tuple[str, ...]) -> Closed:
    """Return whether a day is a public holiday of one of the calendars (`US`, `US-MA`, `DE-BY`)."""
    return lambda day: any(day in holidays_on(calendar, day.year) for calendar in calendars)


@lru_cache(maxsize=256)
def holidays_on(calendar: str, year: int) -> Mapping[date, str]:
    """Return the public holidays of a calendar in a year, by day, with their names."""
    country, _, subdivision = calendar.partition("-")
    return dict(sorted(public.country_holidays(country, subdivision or None, years=year).items()))
