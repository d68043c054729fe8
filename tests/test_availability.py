"""Hours are local: held to an independent calendar engine, and to a clock read minute by minute where it jumps."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
import recurring_ical_events
from hypothesis import given, settings
from hypothesis import strategies as st

from records.scheduling.availability import Extra, Weekly, boundary, holidays_of

ZONES = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca"]
MINUTE = timedelta(minutes=1)
LONG_AGO = date(2020, 1, 1)


def never(_day: date) -> bool:
    return False


def weekly(zone: str, weekday: int, start: time, end: time, step: int = 30, **more: Any) -> Weekly:
    dates = {"valid_from": LONG_AGO, "valid_until": None} | more
    return Weekly(weekday, start, end, zone, step=timedelta(minutes=step), **dates)


def of_calendar(window: Weekly, since: datetime, until: datetime) -> Iterator[tuple]:
    """Yield the window's occurrences, start and end, as an engine for iCalendar works them out."""
    zone = ZoneInfo(window.zone)
    first = window.valid_from
    first += timedelta(days=(window.weekday - first.isoweekday()) % 7)
    event = icalendar.Event()
    event.add("uid", "window")
    event.add("dtstart", datetime.combine(first, window.start, zone))
    event.add("dtend", datetime.combine(first, window.end, zone))
    rule = {"freq": "weekly"}
    if window.valid_until:
        rule["until"] = datetime.combine(window.valid_until, time(23, 59), zone).astimezone(UTC)
    event.add("rrule", rule)
    calendar = icalendar.Calendar()
    calendar.add_component(event)
    for found in recurring_ical_events.of(calendar).between(since, until):
        yield found.start.astimezone(UTC), found.end.astimezone(UTC)


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    weekday=st.integers(1, 7),
    hours=st.tuples(st.integers(6, 12), st.integers(13, 22)),
    step=st.sampled_from([15, 20, 30, 45]),
    length=st.sampled_from([10, 30, 50]),
    since=st.dates(date(2024, 1, 1), date(2029, 12, 1)),
    lasts=st.none() | st.integers(0, 60),
)
def test_daytime_windows_are_those_of_a_calendar_engine(
    zone, weekday, hours, step, length, since, lasts
):
    valid_from = since + timedelta(days=3)
    until_day = valid_from + timedelta(days=lasts) if lasts is not None else None
    window = weekly(
        zone, weekday, time(hours[0]), time(hours[1]), step,
        valid_from=valid_from, valid_until=until_day,
    )  # fmt: skip
    first = datetime.combine(since, time(), UTC)
    last = first + timedelta(days=31)
    expected = {
        start + n * window.step
        for start, end in of_calendar(window, first - timedelta(days=1), last + timedelta(days=1))
        for n in range(2000)
        if start + n * window.step + timedelta(minutes=length) <= end
    }
    found = list(window.starts(timedelta(minutes=length), first, last, never))
    assert found == sorted(start for start in expected if first <= start < last)


def by_the_minute(window: Weekly, day: date, length: timedelta) -> list[datetime]:
    """Read the local clock minute by minute, and offer what it shows on the grid for the first time."""
    zone = ZoneInfo(window.zone)
    opens = datetime.combine(day, window.start)
    closes = datetime.combine(day, window.end)
    closes += timedelta(days=1) if closes <= opens else timedelta()
    instant = datetime.combine(day, time(), UTC) - timedelta(days=1)
    seen, closing = dict[datetime, datetime](), None
    for _ in range(4 * 24 * 60):
        local = instant.astimezone(zone).replace(tzinfo=None)
        seen.setdefault(local, instant)
        if closing is None and local >= closes:
            closing = instant
        instant += MINUTE
    return [
        at
        for local, at in seen.items()
        if opens <= local < closes
        and (local - opens) % window.step == timedelta()
        and at + length <= closing
    ]


def changes(zone: str, years: range = range(2024, 2029)) -> list[date]:
    """Return the days on which the clocks of a zone change."""
    day, found = date(years.start, 1, 1), []
    while day.year < years.stop:
        noons = [
            datetime.combine(d, time(12), ZoneInfo(zone)).utcoffset()
            for d in (day - timedelta(days=1), day)
        ]
        if noons[0] != noons[1]:
            found.append(day)
        day += timedelta(days=1)
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_where_clocks_change_the_grid_is_what_the_clock_shows_first(zone: str):
    days = changes(zone)
    assert len(days) >= 8
    for day in days:
        for start, end, step, length in (
            (time(0), time(0), 30, 30),
            (time(1), time(4), 20, 20),
            (time(1, 15), time(2, 15), 15, 45),
            (time(22), time(6), 60, 60),
            (time(0), time(2, 10), 10, 10),
        ):
            for on in (day, day - timedelta(days=1)):
                window = weekly(
                    zone, on.isoweekday(), start, end, step, valid_from=on, valid_until=on
                )
                span = timedelta(minutes=length)
                since = datetime.combine(on, time(), UTC) - timedelta(days=2)
                found = list(window.starts(span, since, since + timedelta(days=6), never))
                assert found == by_the_minute(window, on, span), (on, start)


@pytest.mark.parametrize("zone", ZONES)
def test_what_is_offered_from_a_moment_on_is_the_rest_of_what_is_offered(zone: str):
    half, hour = timedelta(minutes=30), timedelta(hours=1)
    for day in changes(zone):
        window = weekly(zone, day.isoweekday(), time(0), time(0), valid_from=day, valid_until=day)
        first = datetime.combine(day, time(), UTC) - timedelta(days=1)
        whole = list(window.starts(half, first, first + timedelta(days=3), never))
        for n, start in enumerate(whole):
            for since in (start, start - MINUTE, start.astimezone(ZoneInfo(zone))):
                rest = list(window.starts(half, since, start + hour, never))
                assert rest == [at for at in whole[n:] if at < start + hour]


@pytest.mark.parametrize("zone", ZONES)
def test_nine_to_five_stays_nine_to_five_on_both_sides_of_a_change(zone: str):
    for day in changes(zone):
        for on in (day - timedelta(days=1), day, day + timedelta(days=1)):
            window = weekly(zone, on.isoweekday(), time(9), time(17), 60, valid_from=on)
            since = datetime.combine(on, time(), UTC) - timedelta(days=1)
            found = window.starts(timedelta(hours=1), since, since + timedelta(days=3), never)
            local = [start.astimezone(ZoneInfo(zone)).hour for start in found]
            assert local == list(range(9, 17))


def test_a_time_that_does_not_exist_is_not_offered_and_one_that_comes_twice_is_offered_once():
    zone = ZoneInfo("America/New_York")
    for day, hours in ((date(2026, 3, 8), [1, 1, 3, 3]), (date(2026, 11, 1), [1, 1, 2, 2, 3, 3])):
        window = weekly(zone.key, 7, time(1), time(4), valid_from=day, valid_until=day)
        since = datetime.combine(day, time(), zone)
        found = list(window.starts(timedelta(minutes=30), since, since + timedelta(days=1), never))
        assert [start.astimezone(zone).hour for start in found] == hours
        assert all(later - sooner >= window.step for sooner, later in pairwise(found))


def test_a_window_that_ends_in_a_gap_ends_at_the_change():
    for local, zone, expected in (
        ("2026-03-08T02:30", "America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
        (
            "2026-10-04T02:10",
            "Australia/Lord_Howe",
            datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
        ),
        ("2026-07-01T12:00", "Europe/Berlin", datetime(2026, 7, 1, 10, tzinfo=UTC)),
    ):
        assert boundary(datetime.fromisoformat(local), ZoneInfo(zone)) == expected


def test_midnight_ends_the_day_and_an_earlier_end_is_of_the_next():
    since = datetime(2026, 7, 6, tzinfo=UTC)
    for start, end, hours in (
        (time(22), time(0), [22, 23]),
        (time(22), time(2), [22, 23, 0, 1]),
        (time(0), time(0), list(range(24))),
    ):
        window = weekly("UTC", 1, start, end, 60, valid_until=date(2026, 7, 6))
        found = window.starts(timedelta(hours=1), since, since + timedelta(days=3), never)
        assert [s.hour for s in found] == hours


def test_a_window_over_midnight_is_found_from_the_next_day_too():
    window = weekly("UTC", 1, time(22), time(4), 60)
    tuesday = datetime(2026, 7, 7, tzinfo=UTC)
    found = window.starts(timedelta(hours=1), tuesday, tuesday + timedelta(days=1), never)
    assert [s.hour for s in found] == [0, 1, 2, 3]


def test_a_holiday_is_one_of_its_place_and_closes_windows_but_not_extra_hours():
    closed = holidays_of(("US-MA", "DE-BY"))
    assert [closed(date(2026, *d)) for d in ((7, 4), (4, 20), (1, 6), (7, 6))] == [
        True, True, True, False,
    ]  # fmt: skip
    since = datetime(2026, 1, 6, tzinfo=UTC)
    until, span = since + timedelta(days=1), timedelta(minutes=30)
    window = weekly("UTC", 2, time(9), time(10))
    extra = Extra(since.replace(hour=9), since.replace(hour=10), span)
    assert list(window.starts(span, since, until, closed)) == []
    assert len(list(extra.starts(span, since, until, closed))) == 2
