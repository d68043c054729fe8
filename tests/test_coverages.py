"""Insurance: the front desk keeps it, no two hold one place on one day, and a visit is pinned to what held on its day."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from core.clock import now
from core.ids import new_id
from tests.apis import Api, serve

HARBOR = {"payor": "Harbor Mutual", "plan": "Gold", "member_id": "HM-1", "group_number": "G7"}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


@pytest.fixture
def path(api: Api) -> str:
    return f"/v1/patients/{api.people.patient_id}/coverages"


async def test_only_the_front_desk_keeps_insurance(api: Api, path: str):
    for who, status in {"adams": 403, "nurse": 404, "baker": 404, "patient": 403}.items():
        assert (await api.post(getattr(api.people, who), path, HARBOR)).status_code == status, who


async def test_insurance_of_a_hidden_patient_is_as_absent_as_of_none(api: Api, path: str):
    for place in (path, f"/v1/patients/{new_id()}/coverages"):
        assert (await api.get(api.people.baker, place)).status_code == 404
        assert (await api.post(api.people.baker, place, HARBOR)).status_code == 404


async def test_insurance_is_added_read_and_listed_in_its_order(api: Api, path: str):
    desk = api.people.reception
    second = await api.post(desk, path, HARBOR | {"position": 2})
    first = await api.post(desk, path, HARBOR | {"payor": "Bay Health"})
    assert (second.status_code, first.status_code) == (201, 201)
    assert {name: second.json()[name] for name in HARBOR} == HARBOR
    assert (await api.get(desk, second.headers["location"])).json() == second.json()
    for who in ("reception", "adams", "patient"):
        listed = (await api.get(getattr(api.people, who), path)).json()["items"]
        assert [c["payor"] for c in listed] == ["Bay Health", "Harbor Mutual"]
    assert (await api.get(desk, f"{path}/{new_id()}")).status_code == 404


async def test_what_breaks_a_rule_is_refused_and_not_quoted(api: Api, path: str):
    for change in (
        {"payor": ""},
        {"position": 0},
        {"relationship": "neighbour"},
        {"valid_from": "2026-02-01", "valid_until": "2026-01-01"},
        {"status": "expired"},
        {"eligibility": "perhaps"},
        {"patient_id": str(new_id())},
    ):
        answer = await api.post(api.people.reception, path, HARBOR | change)
        assert answer.status_code == 422, change


async def test_no_two_hold_one_place_on_one_day(api: Api, path: str):
    desk = api.people.reception
    old = {"valid_from": "2025-01-01", "valid_until": "2025-12-31"}
    assert (await api.post(desk, path, HARBOR | old)).status_code == 201
    for days in ({"valid_from": "2025-12-31"}, {"valid_until": "2025-01-01"}, {}):
        answer = await api.post(desk, path, HARBOR | days)
        assert (answer.status_code, answer.json()["code"]) == (409, "coverage-order"), days
    assert (await api.post(desk, path, HARBOR | {"valid_from": "2026-01-01"})).status_code == 201
    assert (await api.post(desk, path, HARBOR | {"status": "cancelled"})).status_code == 201
    assert (await api.post(desk, path, HARBOR | {"position": 2})).status_code == 201


async def test_of_two_that_race_for_a_place_one_gets_it(api: Api, path: str):
    answers = await asyncio.gather(
        *(api.post(api.people.reception, path, HARBOR) for _ in range(2))
    )
    assert sorted(a.status_code for a in answers) == [201, 409]


async def test_a_change_is_made_on_the_version_that_was_read(api: Api, path: str):
    desk = api.people.reception
    place = (await api.post(desk, path, HARBOR)).headers["location"]
    assert (await api.patch(desk, place, {"plan": None}, None)).status_code == 428
    assert (await api.patch(desk, place, {"plan": None}, 'W/"2"')).status_code == 412
    changed = await api.patch(
        desk, place, {"plan": None, "eligibility": "eligible", "valid_until": "2027-01-31"}, 'W/"1"'
    )
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
    now_read = (await api.get(desk, place)).json()
    assert now_read == changed.json()
    assert (now_read["plan"], now_read["member_id"]) == (None, "HM-1")
    assert now_read["eligibility_checked_at"]
    assert (await api.patch(desk, place, {"id": "x"}, 'W/"2"')).status_code == 422
    assert (await api.patch(api.people.adams, place, {"plan": "x"}, "*")).status_code == 403
    assert (await api.patch(desk, f"{path}/{new_id()}", {"plan": "x"}, "*")).status_code == 404


async def test_a_visit_is_pinned_to_what_comes_first_on_its_day(api: Api, path: str):
    desk, people = api.people.reception, api.people
    turn = date.today() + timedelta(days=20)  # noqa: DTZ011 - any day will do
    body = {"patient_id": str(people.patient_id), "doctor_id": str(people.baker.subject.doctor_id)}
    assert (await _booked(api, body, 5))["coverage_id"] is None
    old = await api.post(desk, path, HARBOR | {"valid_until": str(turn)})
    new = await api.post(desk, path, HARBOR | {"valid_from": str(turn + timedelta(days=1))})
    await api.post(desk, path, HARBOR | {"position": 2})
    visit = await _booked(api, body, 10)
    assert visit["coverage_id"] == old.json()["id"]
    assert (await _booked(api, body, 30))["coverage_id"] == new.json()["id"]
    await api.patch(desk, old.headers["location"], {"status": "cancelled"}, 'W/"1"')
    place = f"/v1/appointments/{visit['id']}"
    assert (await api.get(desk, place)).json()["coverage_id"] == old.json()["id"]
    later = {"start": (now() + timedelta(days=31)).isoformat()}
    moved = await api.post(desk, f"{place}/reschedule", later)
    assert moved.json()["coverage_id"] == new.json()["id"]


async def _booked(api: Api, body: dict, days: int) -> dict:
    start = (now() + timedelta(days=days)).isoformat()
    answer = await api.post(api.people.reception, "/v1/appointments", body | {"start": start})
    assert answer.status_code == 201
    return answer.json()
