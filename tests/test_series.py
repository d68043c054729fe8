"""Series: the same hour each week, whatever the clocks do; all of it, or what fits."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import now
from core.errors import Invalid
from core.ids import new_id
from records.scheduling.remaining import shifted
from records.scheduling.series import Rhythm, times
from tests.apis import Api, serve
from tests.test_offers import patients


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


def first(days: int = 10) -> datetime:
    day = now().astimezone(ZoneInfo("America/New_York")) + timedelta(days=days)
    return day.replace(hour=12, minute=0, second=0, microsecond=0)


def weekly(api: Api, **more: object) -> dict[str, object]:
    return {
        "patient_id": str(api.people.patient_id),
        "doctor_id": str(api.people.adams.subject.doctor_id),
        "start": first().isoformat(),
        "count": 4,
    } | more


async def count(url: str) -> int:
    connection = await asyncpg.connect(url)
    number = await connection.fetchval("SELECT count(*) FROM appointment")
    await connection.close()
    return number


async def post(api: Api, path: str, body: object):
    return await api.post(api.people.reception, path, body)


async def taken(api: Api, week: int) -> None:
    start = (first() + timedelta(weeks=week)).isoformat()
    body = {k: v for k, v in weekly(api, start=start).items() if k != "count"}
    assert (await post(api, "/v1/appointments", body)).status_code == 201


async def test_all_or_nothing_is_nothing_when_one_is_taken(api: Api, database_url: str):
    await taken(api, 2)
    before = await count(database_url)
    refused = await post(api, "/v1/appointments/series", weekly(api))
    assert (refused.status_code, refused.json()["code"]) == (409, "slot-taken")
    assert refused.json()["number"] == 3
    assert await count(database_url) == before


async def test_those_that_fit_are_booked_and_the_others_named(api: Api):
    await taken(api, 2)
    made = await post(api, "/v1/appointments/series", weekly(api, fitting=True))
    assert made.status_code == 201
    assert len(made.json()["items"]) == 3
    (left,) = made.json()["left_out"]
    assert (left["number"], left["code"]) == (3, "slot-taken")


async def test_a_series_nothing_of_which_fits_is_refused(api: Api):
    await taken(api, 0)
    await taken(api, 1)
    body = weekly(api, fitting=True, count=2)
    assert (await post(api, "/v1/appointments/series", body)).status_code == 422


async def test_a_series_is_read_by_its_id_and_each_visit_lives_on_its_own(api: Api):
    made = await post(api, "/v1/appointments/series", weekly(api))
    assert made.status_code == 201
    items = made.json()["items"]
    local = [
        datetime.fromisoformat(v["start"]).astimezone(ZoneInfo("America/New_York")) for v in items
    ]
    assert {(t.hour, t.minute) for t in local} == {(12, 0)}
    assert {v["series_id"] for v in items} == {made.json()["id"]}
    assert (await post(api, f"/v1/appointments/{items[1]['id']}/cancel", {})).status_code == 200
    read = await api.get(api.people.reception, made.headers["location"])
    assert [v["status"] for v in read.json()["items"]] == [
        "booked",
        "cancelled",
        "booked",
        "booked",
    ]
    assert (await api.get(api.people.baker, made.headers["location"])).status_code == 404


async def booked(api: Api, **more: object) -> dict:
    made = await post(api, "/v1/appointments/series", weekly(api, **more))
    assert made.status_code == 201, made.text
    return made.json()


def local_starts(series: dict) -> list[datetime]:
    zone = ZoneInfo("America/New_York")
    found = [datetime.fromisoformat(v["start"]).astimezone(zone) for v in series["items"]]
    return [at.replace(tzinfo=None) for at in found]


async def test_a_series_out_of_sight_is_not_called_off_or_moved(api: Api):
    series = await booked(api)
    for path in (f"/v1/appointments/series/{series['id']}", f"/v1/appointments/series/{new_id()}"):
        for act, body in (("cancel", {}), ("reschedule", {"start": first(20).isoformat()})):
            assert (await api.post(api.people.baker, f"{path}/{act}", body)).status_code == 404


async def test_what_lies_ahead_of_a_series_is_called_off_as_one_and_then_there_is_nothing(api: Api):
    series = await booked(api)
    path = f"/v1/appointments/series/{series['id']}"
    done = await post(api, f"/v1/appointments/{series['items'][0]['id']}/cancel", {})
    assert done.status_code == 200
    gone = await post(api, f"{path}/cancel", {"reason_code": "prov", "reason": "On leave"})
    assert [v["status"] for v in gone.json()["items"]] == ["cancelled"] * 3
    assert {v["cancellation_reason"] for v in gone.json()["items"]} == {"prov"}
    again = await post(api, f"{path}/cancel", {})
    assert (again.status_code, again.json()["code"]) == (409, "series-over")


async def test_a_series_moves_as_one_also_into_its_own_times(api: Api):
    series = await booked(api)
    before = local_starts(series)
    path = f"/v1/appointments/series/{series['id']}/reschedule"
    for days in (7, 0, 1):
        moved = await post(api, path, {"start": first(10 + days).isoformat()})
        assert moved.status_code == 200, moved.text
        assert local_starts(moved.json()) == [at + timedelta(days=days) for at in before]
        assert [v["id"] for v in moved.json()["items"]] == [v["id"] for v in series["items"]]


async def test_a_series_of_which_one_cannot_move_stays_as_it_is(api: Api):
    series = await booked(api)
    other = {k: v for k, v in weekly(api, start=first(25).isoformat()).items() if k != "count"}
    assert (await post(api, "/v1/appointments", other)).status_code == 201
    path = f"/v1/appointments/series/{series['id']}"
    refused = await post(api, f"{path}/reschedule", {"start": first(11).isoformat()})
    assert (refused.status_code, refused.json()["code"]) == (409, "slot-taken")
    assert refused.json()["number"] == 3
    assert (await api.get(api.people.reception, path)).json()["items"] == series["items"]


async def test_a_time_a_series_moves_into_is_not_offered_away_in_between(api: Api):
    series = await booked(api)
    (waiting,) = await patients(api, 1)
    last = first(10 + 28) + timedelta(days=1)
    wish = {"patient_id": waiting, "latest": last.isoformat()}
    entry = (await post(api, "/v1/waitlist", wish)).json()["id"]
    path = f"/v1/appointments/series/{series['id']}/reschedule"
    assert (await post(api, path, {"start": first(17).isoformat()})).status_code == 200
    offered = (await api.get(api.people.reception, f"/v1/waitlist/{entry}")).json()["offer"]
    assert datetime.fromisoformat(offered["start"]) == first()


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"])
def test_a_series_that_moves_keeps_its_hour_on_both_sides_of_a_change_of_clocks(zone: str):
    starts = [t for t in times(datetime(2027, 3, 1, 15, tzinfo=UTC), Rhythm(zone, 40)) if t]
    there = shifted(starts, starts[0] + timedelta(hours=26), ZoneInfo(zone))
    local = [at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for at in there]
    assert {(at.hour, at.minute) for at in local} == {(local[0].hour, local[0].minute)}
    assert {b - a for a, b in pairwise(local)} == {timedelta(days=7)}


def test_a_series_is_not_moved_to_an_hour_that_one_of_its_days_does_not_have():
    zone = ZoneInfo("America/New_York")
    starts = [datetime(2027, 3, day, 5, tzinfo=zone) for day in (7, 14)]
    with pytest.raises(Invalid) as refusal:
        shifted(starts, datetime(2027, 3, 7, 2, 30, tzinfo=zone), zone)
    assert refusal.value.errors[0].code == "no-such-hour"


async def test_a_series_is_booked_once_under_a_key(api: Api, database_url: str):
    bearer = await api.bearer(api.people.reception) | {"Idempotency-Key": "s"}
    both = [
        await api.http.post("/v1/appointments/series", headers=bearer, json=weekly(api))
        for _ in range(2)
    ]
    assert both[0].json() == both[1].json()
    assert await count(database_url) == 5


def test_a_series_that_begins_in_an_hour_that_comes_twice_begins_when_it_was_asked_for():
    second = datetime.fromisoformat("2026-11-01T01:30:00-05:00")
    found = times(second, Rhythm("America/New_York", 2))
    assert found == [second, datetime.fromisoformat("2026-11-08T01:30:00-05:00")]


def test_a_week_without_that_hour_is_no_time():
    """02:30 on the night the clocks go forward in New York, 14 March 2027."""
    start = datetime(2027, 3, 7, 2, 30, tzinfo=ZoneInfo("America/New_York"))
    found = times(start, Rhythm("America/New_York", 3))
    assert found[0] == start.astimezone(UTC)
    assert found[1] is None
    assert found[2] is not None


@given(
    st.integers(0, 35_000).map(
        lambda halves: datetime(2026, 1, 1, tzinfo=UTC) + halves * timedelta(minutes=30)
    ),
    st.sampled_from(
        ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca"]
    ),
    st.integers(1, 4),
)
def test_the_hour_stays_when_the_clocks_change(start, zone, every):
    local = start.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    found = times(start, Rhythm(zone, 30, every))
    for n, time in enumerate(found):
        if time is not None:
            there = time.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            assert there == local + timedelta(weeks=n * every)
