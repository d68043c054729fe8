"""Doctors: found by what patients ask for, changed by who may, and not gone while visits lie ahead."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.clock import now
from core.ids import new_id
from tests.apis import Api, serve
from tests.test_offers import NINE, book, offer, patients

RIGHT, WRONG = "1234567893", "1234567890"


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def add(api: Api, **more: Any) -> dict[str, Any]:
    body = {"family": "Chen", "given": "Mei", **more}
    made = await api.post(api.people.admin, "/v1/doctors", body)
    assert made.status_code == 201, made.text
    return made.json()


async def change(api: Api, doctor_id: str, query: str = "", **fields: Any) -> httpx.Response:
    headers = await api.bearer(api.people.admin) | {"If-Match": "*"}
    return await api.http.patch(f"/v1/doctors/{doctor_id}{query}", headers=headers, json=fields)


async def named(api: Api, query: str) -> list[str]:
    found = await api.get(api.people.patient, f"/v1/doctors?{query}")
    return [d["family"] for d in found.json()["items"]]


async def test_a_number_with_a_wrong_check_digit_is_no_npi(api: Api):
    for npi, status in ((WRONG, 422), ("12345", 422), (RIGHT, 201)):
        body = {"family": "Chen", "given": "Mei", "npi": npi}
        answer = await api.post(api.people.admin, "/v1/doctors", body)
        assert answer.status_code == status
        assert status == 201 or npi not in answer.text
        assert npi != WRONG or answer.json()["errors"][0]["code"] == "check-digit"


async def test_a_name_in_one_piece_and_a_bare_code_are_taken_as_they_are_meant(api: Api):
    name = {"family": "Chen", "given": "Mei", "prefix": "Dr"}
    body = {"name": name, "specialties": ["207Q00000X"]}
    made = (await api.post(api.people.admin, "/v1/doctors", body)).json()
    assert (made["name"], made["family"]) == (name, "Chen")
    assert [s["code"] for s in made["specialties"]] == ["207Q00000X"]
    changed = await change(api, made["id"], name={"given": "May"})
    assert changed.json()["name"] == name | {"given": "May"}


async def test_a_profile_that_cannot_be_is_refused_with_a_pointer(api: Api):
    for fields, pointer in [
        ({"languages": ["English, please"]}, "/languages/0"),
        ({"family": "Chen\r\nX: y"}, "/family"),
        ({"name": {"given": ""}}, "/name/given"),
        ({"specialties": [{"code": "207Q00000X"}, {"code": "207Q00000X"}]}, "/specialties"),
    ]:
        body = {"family": "Chen", "given": "Mei", **fields}
        answer = await api.post(api.people.admin, "/v1/doctors", body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), fields


async def test_an_npi_is_one_doctors_also_after_a_change(api: Api):
    await add(api, npi=RIGHT)
    other = await add(api, family="Other")
    answer = await change(api, other["id"], npi=RIGHT)
    assert (answer.status_code, answer.json()["code"]) == (409, "npi-taken")


async def test_only_the_administrator_changes_a_doctor_and_knows_the_version(api: Api):
    doctor = await add(api, languages=["EN"])
    path = f"/v1/doctors/{doctor['id']}"
    tag = {"If-Match": 'W/"1"'}
    for who in ("adams", "reception", "patient"):
        headers = await api.bearer(getattr(api.people, who)) | tag
        assert (await api.http.patch(path, headers=headers, json={})).status_code == 403
    bearer = await api.bearer(api.people.admin)
    new = {"bio": "Hearts.", "languages": ["en", "zh"], "specialties": [{"code": "207RC0000X"}]}
    statuses = [
        (await api.http.patch(path, headers=bearer | extra, json=new)).status_code
        for extra in ({}, {"If-Match": 'W/"2"'}, tag)
    ]
    assert statuses == [428, 412, 200]
    read = (await api.get(api.people.patient, path)).json()
    assert read["version"] == 2
    assert (read["bio"], read["languages"]) == ("Hearts.", ["en", "zh"])
    assert [s["code"] for s in read["specialties"]] == ["207RC0000X"]
    cleared = await change(api, doctor["id"], bio=None)
    assert cleared.json() == read | {"bio": None, "version": 3}
    assert (await change(api, doctor["id"], family=None)).status_code == 422


async def test_doctors_are_found_by_specialty_place_language_and_name(api: Api):
    site = await offer(api, "locations", name="House", kind="site")
    room = await offer(api, "locations", name="Room", site_id=site["id"])
    await add(
        api,
        languages=["es-MX", "es-mx"],
        npi=RIGHT,
        location_ids=[room["id"]],
        specialties=[{"code": "207Q00000X", "display": "Family Medicine"}],
    )
    await add(api, family="Ibsen_", given="Nora", languages=["no"])
    for query, expected in (
        ("specialty=family medicine", ["Chen"]),
        (f"location={site['id']}", ["Chen"]),
        (f"location={room['id']}&language=ES", ["Chen"]),
        (f"location={new_id()}", []),
        ("specialty=207q00000x", ["Chen"]),
        (f"npi={RIGHT}", ["Chen"]),
        ("npi=1679576722", []),
        ("language=no", ["Ibsen_"]),
        ("language=e", []),
        ("language=es-mx", ["Chen"]),
        ("name=ei ch", ["Chen"]),
        ("name=Chen mei", ["Chen"]),
        ("name=_", ["Ibsen_"]),
        ("name=%25", []),
        ("language=es&name=nora", []),
    ):
        assert await named(api, query) == expected, query


async def test_a_place_that_is_not_there_is_not_practised_at(api: Api):
    body = {"family": "Chen", "given": "Mei", "location_ids": [str(new_id())]}
    answer = await api.post(api.people.admin, "/v1/doctors", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/location_id")


async def test_a_doctor_with_visits_ahead_does_not_stop(api: Api):
    doctor_id = str(api.people.adams.subject.doctor_id)
    answer = await change(api, doctor_id, active=False)
    assert (answer.status_code, answer.json()["code"]) == (409, "future-appointments")
    assert answer.json()["appointments"] == 1
    assert (await api.get(api.people.patient, f"/v1/doctors/{doctor_id}")).json()["active"]


async def test_visits_of_a_doctor_who_left_are_on_the_work_list_until_they_are_seen_to(api: Api):
    doctor_id = str(api.people.adams.subject.doctor_id)
    assert (await api.get(api.people.reception, "/v1/worklist")).json()["items"] == []
    answer = await change(api, doctor_id, "?move_to_worklist=true", active=False)
    assert (answer.status_code, answer.json()["active"]) == (200, False)
    listed = (await api.get(api.people.reception, "/v1/worklist")).json()["items"]
    assert [v["id"] for v in listed] == [str(api.people.appointment_id)]
    assert (await api.get(api.people.nurse, "/v1/worklist")).json()["items"] == []
    (patient,) = await patients(api, 1)
    assert (await book(api, "adams", patient, NINE)).status_code == 404
    path = f"/v1/appointments/{api.people.appointment_id}/cancel"
    await api.post(api.people.reception, path, {})
    assert (await api.get(api.people.reception, "/v1/worklist")).json()["items"] == []


async def test_a_visit_whose_doctor_left_stays_the_same_visit_with_another(api: Api):
    adams, baker = (str(getattr(api.people, who).subject.doctor_id) for who in ("adams", "baker"))
    await change(api, adams, "?move_to_worklist=true", active=False)
    path, desk = f"/v1/appointments/{api.people.appointment_id}", api.people.reception
    before = (await api.get(desk, path)).json()
    for move, status, code in (
        ({}, 409, "doctor-left"),
        ({"doctor_id": adams}, 422, "invalid"),
        ({"doctor_id": str(new_id())}, 422, "invalid"),
    ):
        answer = await api.post(desk, f"{path}/reschedule", {"start": before["start"], **move})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    move = {"start": before["start"], "doctor_id": baker}
    moved = await api.post(desk, f"{path}/reschedule", move)
    assert moved.json() == before | {"doctor_id": baker, "moves": 1, "version": 2}
    assert (await api.get(desk, "/v1/worklist")).json()["items"] == []
    steps = (await api.get(desk, f"{path}/history")).json()["items"]
    assert [step["doctor_id"] for step in steps] == [adams, baker]
    assert (await api.get(api.people.baker, path)).status_code == 200


async def test_a_visit_is_not_moved_to_a_doctor_who_is_engaged_and_an_undo_brings_the_doctor_back(
    api: Api,
):
    adams, baker = (str(getattr(api.people, who).subject.doctor_id) for who in ("adams", "baker"))
    mine, other = await patients(api, 2)
    visit = (await book(api, "adams", mine, NINE)).json()
    await book(api, "baker", other, NINE)
    path, desk = f"/v1/appointments/{visit['id']}", api.people.reception
    move = {"start": visit["start"], "doctor_id": baker}
    taken = await api.post(desk, f"{path}/reschedule", move)
    assert (taken.status_code, taken.json()["code"]) == (409, "slot-taken")
    assert (await api.get(desk, path)).json()["doctor_id"] == adams
    move["start"] = (NINE + timedelta(hours=1)).isoformat()
    assert (await api.post(desk, f"{path}/reschedule", move)).json()["doctor_id"] == baker
    back = (await api.post(desk, f"{path}/undo", {})).json()
    assert (back["doctor_id"], back["start"]) == (adams, visit["start"])


async def test_a_doctor_without_visits_stops_and_is_listed_no_more(api: Api):
    doctor = await add(api)
    hours = {"weekday": (now() + timedelta(days=1)).isoweekday(), "start": "00:00", "end": "00:00"}
    await api.post(api.people.admin, f"/v1/doctors/{doctor['id']}/schedules", hours)
    path = f"/v1/slots?doctor_id={doctor['id']}"
    assert (await api.get(api.people.patient, path)).json()["items"]
    assert (await change(api, doctor["id"], active=False)).status_code == 200
    assert await named(api, "name=Chen") == []
    assert (await api.get(api.people.patient, path)).json()["items"] == []
    assert (await change(api, doctor["id"], active=True)).status_code == 200
    assert await named(api, "name=Chen") == ["Chen"]


async def test_a_doctors_own_word_goes_over_the_services_field_by_field(api: Api):
    service = await offer(api, "services", name="Talk", duration_minutes=30, notice_minutes=0)
    adams = str(api.people.adams.subject.doctor_id)
    path = f"/v1/doctors/{adams}/services/{service['id']}"
    mine = {"duration_minutes": 50}
    for who, tag, body, status in (
        ("baker", "*", mine, 403),
        ("adams", None, mine, 428),
        ("adams", "*", {"duration_minutes": 0}, 422),
        ("adams", 'W/"1"', mine, 412),
        ("adams", "*", mine, 200),
        ("adams", 'W/"9"', mine, 412),
        ("reception", 'W/"1"', {"buffer_after_minutes": 10}, 200),
    ):
        headers = await api.bearer(getattr(api.people, who)) | ({"If-Match": tag} if tag else {})
        answer = await api.http.patch(path, headers=headers, json=body)
        assert answer.status_code == status, (who, tag)
    assert answer.json()["duration_minutes"] == 50
    first, second = await patients(api, 2)
    visit = (await book(api, "adams", first, NINE, service_id=service["id"])).json()
    assert visit["end"] == (NINE + timedelta(minutes=50)).isoformat()
    late = await book(api, "adams", second, NINE + timedelta(minutes=55))
    assert late.status_code == 409
    headers = await api.bearer(api.people.adams) | {"If-Match": "*"}
    await api.http.patch(path, headers=headers, json={"offered": False})
    answer = await book(api, "adams", second, NINE, service_id=service["id"])
    assert answer.json()["errors"][0]["code"] == "not-offered"
    assert (
        len((await api.get(api.people.patient, f"/v1/doctors/{adams}/services")).json()["items"])
        == 1
    )
