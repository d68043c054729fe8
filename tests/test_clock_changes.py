"""A whole booking where clocks change: found, booked, moved and shown in a calendar, in four zones."""

import os
import time as clock
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from icalendar import Calendar

from core.clock import now
from tests.apis import Api, serve
from tests.test_availability import ZONES, by_the_minute, changes, weekly

HALF = timedelta(minutes=30)


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


@pytest.fixture
def far_away() -> Iterator[None]:
    """Put this process into a zone that nobody here means."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Kolkata"
    clock.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    clock.tzset()


def next_change(zone: str) -> date:
    this = now().date()
    days = changes(zone, range(this.year, this.year + 3))
    return next(day for day in days if day > this + timedelta(days=3))


def midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone))


async def opens(api: Api, zone: str, start: str, end: str) -> None:
    path = f"/v1/doctors/{api.people.adams.subject.doctor_id}/schedules"
    for weekday in range(1, 8):
        window = {"weekday": weekday, "start": start, "end": end, "time_zone": zone}
        made = await api.post(api.people.adams, path, window)
        assert made.status_code == 201, made.text


async def found(api: Api, since: datetime, until: datetime) -> list[dict]:
    span = {"from": since.isoformat(), "to": until.isoformat(), "limit": 100}
    answer = await api.get(api.people.patient, "/v1/slots", params=span)
    return answer.json()["items"]


async def book(api: Api, start: str):
    doctor, patient = str(api.people.adams.subject.doctor_id), str(api.people.patient_id)
    body = {"doctor_id": doctor, "patient_id": patient, "start": start}
    return await api.post(api.people.patient, "/v1/appointments", body)


def local(moment: str, zone: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@pytest.mark.parametrize("zone", ZONES)
async def test_nine_is_nine_when_it_is_found_booked_moved_and_shown(api: Api, zone: str):
    await opens(api, zone, "09:00", "10:00")
    day = next_change(zone)
    first = day - timedelta(days=1)
    slots = await found(api, midnight(first, zone), midnight(day + timedelta(days=2), zone))
    nines = [datetime.combine(first + timedelta(days=n), time(9)) for n in range(3)]
    assert [local(s["start"], zone) for s in slots] == [
        n + h for n in nines for h in (0 * HALF, HALF)
    ]
    booked = await book(api, slots[0]["start"])
    assert booked.status_code == 201, booked.text
    feed = (await api.post(api.people.patient, "/v1/me/calendar-feeds", {})).json()
    path = f"/v1/appointments/{booked.json()['id']}"
    for target, nine in ((slots[2], nines[1]), (slots[4], nines[2])):
        move = {"start": target["start"]}
        moved = await api.post(api.people.patient, f"{path}/reschedule", move)
        assert local(moved.json()["start"], zone) == nine
        assert local(moved.json()["end"], zone) == nine + HALF
        text = (await api.http.get(feed["url"][feed["url"].index("/calendars/") :])).text
        events = {str(e["UID"]): e for e in Calendar.from_ical(text).walk("VEVENT")}
        event = events[f"{booked.json()['id']}@confide"]
        assert event.start.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == nine
        assert event.end - event.start == HALF


@pytest.mark.parametrize("zone", ZONES)
async def test_in_the_night_of_the_change_what_the_clock_shows_first_is_shown_and_booked_alone(
    api: Api, zone: str
):
    await opens(api, zone, "00:00", "06:00")
    day = next_change(zone)
    night, morning = midnight(day, zone), midnight(day, zone) + timedelta(hours=5)
    shown = {datetime.fromisoformat(s["start"]) for s in await found(api, night, morning)}
    window = weekly(zone, day.isoweekday(), time(0), time(6), valid_from=day, valid_until=day)
    assert shown == {at for at in by_the_minute(window, day, HALF) if night <= at < morning}
    utc = night.astimezone(ZoneInfo("UTC"))
    while utc < morning:
        answer = await book(api, utc.isoformat())
        assert answer.status_code == (201 if utc in shown else 422), utc
        utc += HALF


@pytest.mark.usefixtures("far_away")
async def test_the_zone_of_the_servers_is_not_asked_for(api: Api, database_url: str):
    zone, day = "Europe/Berlin", next_change("Europe/Berlin")
    connection = await asyncpg.connect(database_url)
    name = database_url.rpartition("/")[2].partition("?")[0]
    await connection.execute(f"ALTER DATABASE \"{name}\" SET timezone TO 'Pacific/Auckland'")
    await connection.close()
    await api.clinic.database.engine.dispose()
    await opens(api, zone, "23:00", "01:00")
    slots = await found(api, midnight(day, zone), midnight(day + timedelta(days=1), zone))
    hours = [local(s["start"], zone).time() for s in slots]
    assert hours == [time(0), time(0, 30), time(23), time(23, 30)]
    assert (await book(api, slots[2]["start"])).status_code == 201
