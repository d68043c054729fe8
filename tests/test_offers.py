"""Services, rooms, buffers and seats: what the clinic offers, and that none of it is given twice."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from core.clock import now
from core.ids import new_id
from policies.rules import defaults
from tests.apis import Api, serve
from tests.test_api import PATIENT

NINE = (now() + timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def offer(api: Api, path: str, **body: Any) -> dict[str, Any]:
    made = await api.post(api.people.admin, f"/v1/{path}", body)
    assert made.status_code == 201, made.text
    return made.json()


async def patients(api: Api, number: int) -> list[str]:
    """Register patients, each with a number of their own."""
    answers = [
        await api.post(api.people.reception, "/v1/patients", PATIENT | {"identifiers": []})
        for _ in range(number)
    ]
    return [answer.json()["id"] for answer in answers]


async def book(api: Api, doctor: str, patient: str, start: datetime, **more: Any):
    who = str(getattr(api.people, doctor).subject.doctor_id)
    body = {"patient_id": patient, "doctor_id": who, "start": start.isoformat(), **more}
    return await api.post(api.people.reception, "/v1/appointments", body)


async def test_only_the_administrator_says_what_the_clinic_offers(api: Api):
    for path in ["services", "locations"]:
        for who in ("adams", "reception", "nurse", "patient", "compliance"):
            answer = await api.post(getattr(api.people, who), f"/v1/{path}", {"name": "x"})
            assert answer.status_code == 403, path
            assert (await api.get(getattr(api.people, who), f"/v1/{path}")).status_code == 200, path


async def test_a_service_that_cannot_be_is_refused_with_a_pointer(api: Api):
    for body, pointer in [
        ({"name": ""}, "/name"),
        ({"name": "x", "duration_minutes": 0}, "/duration_minutes"),
        ({"name": "x", "capacity": 0}, "/capacity"),
        ({"name": "x", "buffer_after_minutes": -1}, "/buffer_after_minutes"),
        ({"name": "x", "location_id": str(new_id())}, "/location_id"),
    ]:
        answer = await api.post(api.people.admin, "/v1/services", body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), body


async def test_a_service_changes_only_for_who_has_read_its_newest_version(api: Api):
    service = await offer(api, "services", name="Follow-up", room_kind="any")
    path = f"/v1/services/{service['id']}"
    bearer = await api.bearer(api.people.admin)
    change = {"duration_minutes": 45, "room_kind": None}
    bare = await api.http.patch(path, headers=bearer, json=change)
    stale = await api.http.patch(path, headers=bearer | {"If-Match": 'W/"7"'}, json=change)
    good = await api.http.patch(path, headers=bearer | {"If-Match": 'W/"1"'}, json=change)
    assert (bare.status_code, stale.status_code, good.status_code) == (428, 412, 200)
    assert good.headers["etag"] == 'W/"2"'
    assert good.json() == service | change | {"version": 2}
    assert (await api.get(api.people.patient, path)).json() == good.json()


async def test_what_is_not_there_is_not_changed(api: Api):
    headers = await api.bearer(api.people.admin) | {"If-Match": 'W/"1"'}
    path = f"/v1/locations/{new_id()}"
    assert (await api.http.patch(path, headers=headers, json={"name": "x"})).status_code == 404
    assert (await api.get(api.people.admin, path)).status_code == 404


async def test_a_visit_lasts_as_long_as_its_service(api: Api):
    service = await offer(api, "services", name="Long talk", duration_minutes=50)
    (patient,) = await patients(api, 1)
    visit = (await book(api, "adams", patient, NINE, service_id=service["id"])).json()
    assert datetime.fromisoformat(visit["end"]) == NINE + timedelta(minutes=50)
    assert visit["service_id"] == service["id"]


async def test_a_service_of_another_specialty_is_not_booked(api: Api):
    service = await offer(api, "services", name="Echo", specialty="207RC0000X")
    (patient,) = await patients(api, 1)
    for service_id in (service["id"], str(new_id())):
        answer = await book(api, "adams", patient, NINE, service_id=service_id)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "not-offered")


async def test_buffers_keep_the_doctor_free_around_a_visit(api: Api):
    around = {"buffer_before_minutes": 10, "buffer_after_minutes": 20}
    service = await offer(api, "services", name="Minor surgery", **around)
    mine, other, third = await patients(api, 3)
    assert (await book(api, "adams", mine, NINE, service_id=service["id"])).status_code == 201
    for minutes, status in ((-30, 409), (-40, 201), (45, 409), (50, 201)):
        answer = await book(api, "adams", other, NINE + timedelta(minutes=minutes))
        assert answer.status_code == status, minutes
    right_after = await book(api, "baker", mine, NINE + timedelta(minutes=30))
    assert right_after.status_code == 201, "the patient is free at once"
    assert (await book(api, "baker", third, NINE)).status_code == 201


async def test_what_is_booked_keeps_the_buffers_it_was_booked_with(api: Api):
    service = await offer(api, "services", name="Surgery", buffer_after_minutes=60)
    mine, other = await patients(api, 2)
    await book(api, "adams", mine, NINE, service_id=service["id"])
    headers = await api.bearer(api.people.admin) | {"If-Match": 'W/"1"'}
    path = f"/v1/services/{service['id']}"
    await api.http.patch(path, headers=headers, json={"buffer_after_minutes": 0})
    answer = await book(api, "adams", other, NINE + timedelta(minutes=45))
    assert answer.json()["code"] == "slot-taken"


async def test_a_room_is_never_taken_twice_and_a_site_is(api: Api):
    site = await offer(api, "locations", name="Main house", kind="site")
    room = await offer(api, "locations", name="Room 1", site_id=site["id"])
    mine, other = await patients(api, 2)
    for place, status in ((site, 201), (room, 409)):
        at = NINE if place is site else NINE + timedelta(hours=2)
        first = await book(api, "adams", mine, at, location_id=place["id"])
        assert (first.status_code, first.json()["location_id"]) == (201, place["id"])
        second = await book(api, "baker", other, at, location_id=place["id"])
        assert second.status_code == status


async def test_a_service_takes_the_next_free_room_of_its_kind(api: Api):
    rooms = [await offer(api, "locations", name=n, room_kind="scan") for n in ("A", "B")]
    await offer(api, "locations", name="Z", room_kind="plaster")
    service = await offer(api, "services", name="Scan", room_kind="scan")
    mine, other = await patients(api, 2)
    found = [
        (await book(api, who, whom, NINE, service_id=service["id"])).json()["location_id"]
        for who, whom in (("adams", mine), ("baker", other))
    ]
    assert found == [room["id"] for room in rooms]


async def test_a_group_visit_has_as_many_seats_as_its_capacity(api: Api):
    service = await offer(api, "services", name="Back school", capacity=3)
    everybody = await patients(api, 5)
    answers = [await book(api, "adams", p, NINE, service_id=service["id"]) for p in everybody]
    assert [a.status_code for a in answers] == [201, 201, 201, 409, 409]
    for start, more in (
        (NINE, {}),
        (NINE + timedelta(minutes=15), {"service_id": service["id"]}),
    ):
        late = await book(api, "adams", everybody[4], start, **more)
        assert late.status_code == 409, "the doctor does nothing else meanwhile"
    twice = await book(api, "baker", everybody[0], NINE)
    assert twice.status_code == 409, "one patient has one seat"


async def test_the_strictest_capacity_that_a_seat_was_booked_under_holds(api: Api):
    service = await offer(api, "services", name="Back school", capacity=3)
    everybody = await patients(api, 4)
    for patient in everybody[:2]:
        await book(api, "adams", patient, NINE, service_id=service["id"])
    headers = await api.bearer(api.people.admin)
    path = f"/v1/services/{service['id']}"
    for version, capacity, patient, status in ((1, 2, 2, 409), (2, 9, 2, 201), (3, 9, 3, 409)):
        tag = headers | {"If-Match": f'W/"{version}"'}
        await api.http.patch(path, headers=tag, json={"capacity": capacity})
        answer = await book(api, "adams", everybody[patient], NINE, service_id=service["id"])
        assert answer.status_code == status, capacity


async def test_nobody_is_moved_into_a_session_that_is_full(api: Api):
    service = await offer(api, "services", name="Back school", capacity=3)
    everybody = await patients(api, 5)
    later = NINE + timedelta(days=7)
    for patient in everybody[:3]:
        last = await book(api, "adams", patient, NINE, service_id=service["id"])
    headers = await api.bearer(api.people.admin) | {"If-Match": 'W/"1"'}
    await api.http.patch(f"/v1/services/{service['id']}", headers=headers, json={"capacity": 2})
    for patient in everybody[3:]:
        seated = await book(api, "adams", patient, later, service_id=service["id"])
        assert seated.status_code == 201
    path = f"/v1/appointments/{last.json()['id']}/reschedule"
    moved = await api.post(api.people.reception, path, {"start": later.isoformat()})
    assert (moved.status_code, moved.json()["code"]) == (409, "slot-taken")


COPY = """INSERT INTO appointment (id, patient_id, person_id, key_id, doctor_id, status, version, created_by, moves,
    created_at, starts_at, ends_at, session_id, lane, capacity)
    SELECT gen_random_uuid(), k.patient_id, k.patient_id, k.key_id, doctor_id, status, a.version, created_by, 0, a.created_at, {}
    FROM appointment a, patient_key k WHERE k.patient_id {} a.patient_id"""
LATER = "starts_at + interval '10 min', ends_at + interval '10 min', NULL, 1, 1"


async def test_the_database_refuses_an_overlap_whoever_inserts(api: Api, database_url: str):
    await patients(api, 1)
    connection = await asyncpg.connect(database_url)
    for change, whose, refusal in [
        (LATER, "<>", "doctor_taken"),
        ("starts_at, ends_at, gen_random_uuid(), 2, 2", "<>", "ck_appointment_session_name"),
        ("starts_at, ends_at, NULL, 2, 1", "<>", "ck_appointment_lane"),
        ("starts_at, ends_at, NULL, 2, 2", "<>", "ck_appointment_session"),
        (LATER.replace("10", "29"), "=", "patient_taken"),
    ]:
        if whose == "=":
            await connection.execute("ALTER TABLE appointment DROP CONSTRAINT doctor_taken")
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as error:
            await connection.execute(COPY.format(change, whose))
        assert error.value.constraint_name == refusal, change
    await connection.close()


async def test_two_visits_do_not_pass_for_one_by_a_forged_name(api: Api, database_url: str):
    service = await offer(api, "services", name="Back school", capacity=3)
    for patient in await patients(api, 2):
        await book(api, "adams", patient, NINE, service_id=service["id"])
    connection = await asyncpg.connect(database_url)
    for change, refusal in [
        ("starts_at = starts_at + interval '10 min'", "ck_appointment_session_name"),
        (
            "doctor_id = (SELECT id FROM doctor WHERE id <> doctor_id LIMIT 1)",
            "ck_appointment_session_name",
        ),
        ("service_id = NULL", "ck_appointment_session_name"),
        ("lane = 1", "uq_appointment_lane"),
    ]:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as error:
            await connection.execute(f"UPDATE appointment SET {change} WHERE lane = 2")
        assert error.value.constraint_name == refusal, change
    await connection.close()


async def test_a_moved_visit_finds_another_room_of_its_kind_and_its_undo_the_old_one(api: Api):
    for name in ("A", "B"):
        await offer(api, "locations", name=name, room_kind="scan")
    service = await offer(api, "services", name="Scan", room_kind="scan")
    mine, other = await patients(api, 2)
    later = NINE + timedelta(hours=2)
    first = (await book(api, "adams", mine, NINE, service_id=service["id"])).json()
    second = (await book(api, "baker", other, later, service_id=service["id"])).json()
    assert first["location_id"] == second["location_id"]
    path = f"/v1/appointments/{first['id']}"
    moved = await api.post(api.people.reception, f"{path}/reschedule", {"start": later.isoformat()})
    assert moved.status_code == 200, moved.text
    assert moved.json()["location_id"] != first["location_id"]
    back = await api.post(api.people.reception, f"{path}/undo", {})
    assert back.json()["location_id"] == first["location_id"]
    places = [
        s["location_id"]
        for s in (await api.get(api.people.reception, f"{path}/history")).json()["items"]
    ]
    assert places == [first["location_id"], moved.json()["location_id"], first["location_id"]]


async def test_the_buffers_of_a_visit_move_with_it(api: Api):
    service = await offer(api, "services", name="Surgery", buffer_after_minutes=60)
    mine, other = await patients(api, 2)
    visit = (await book(api, "adams", mine, NINE, service_id=service["id"])).json()
    later = NINE + timedelta(hours=4)
    path = f"/v1/appointments/{visit['id']}/reschedule"
    moved = await api.post(api.people.reception, path, {"start": later.isoformat()})
    assert moved.status_code == 200
    for start, status in ((NINE, 201), (later + timedelta(minutes=60), 409)):
        assert (await book(api, "adams", other, start)).status_code == status


async def test_a_seat_of_a_group_moves_to_a_free_lane_of_the_other_group(api: Api):
    service = await offer(api, "services", name="Back school", capacity=2)
    everybody = await patients(api, 4)
    later = NINE + timedelta(hours=4)
    await book(api, "adams", everybody[0], later, service_id=service["id"])
    seats = [await book(api, "adams", p, NINE, service_id=service["id"]) for p in everybody[1:3]]
    paths = [f"/v1/appointments/{seat.json()['id']}/reschedule" for seat in seats]
    moves = [
        await api.post(api.people.reception, path, {"start": later.isoformat()}) for path in paths
    ]
    assert [m.status_code for m in moves] == [200, 409]
    assert moves[1].json()["code"] == "slot-taken"
    assert "alternatives" in moves[1].json()


async def own_terms(api: Api, doctor: str, service_id: str, **terms: int) -> None:
    who = getattr(api.people, doctor).subject.doctor_id
    headers = await api.bearer(api.people.admin) | {"If-Match": "*"}
    path = f"/v1/doctors/{who}/services/{service_id}"
    assert (await api.http.patch(path, headers=headers, json=terms)).status_code == 200


async def test_who_takes_a_visit_over_does_it_on_their_own_terms_and_its_undo_on_the_old(api: Api):
    service = await offer(api, "services", name="Surgery")
    await own_terms(api, "baker", service["id"], buffer_after_minutes=60)
    mine, other = await patients(api, 2)
    visit = (await book(api, "adams", mine, NINE, service_id=service["id"])).json()
    path, after = f"/v1/appointments/{visit['id']}", NINE + timedelta(minutes=60)
    there = {"start": NINE.isoformat(), "doctor_id": str(api.people.baker.subject.doctor_id)}
    assert (await api.post(api.people.reception, f"{path}/reschedule", there)).status_code == 200
    assert (await book(api, "baker", other, after)).status_code == 409
    assert (await api.post(api.people.reception, f"{path}/undo", {})).status_code == 200
    assert (await book(api, "adams", other, after)).status_code == 201


async def test_who_takes_a_seat_over_has_as_many_seats_as_they_hold(api: Api):
    service = await offer(api, "services", name="Back school", capacity=4)
    await own_terms(api, "baker", service["id"], capacity=2)
    seats = [
        await book(api, "adams", p, NINE, service_id=service["id"]) for p in await patients(api, 3)
    ]
    there = {"start": NINE.isoformat(), "doctor_id": str(api.people.baker.subject.doctor_id)}
    moves = [
        await api.post(
            api.people.reception, f"/v1/appointments/{seat.json()['id']}/reschedule", there
        )
        for seat in seats
    ]
    assert [m.status_code for m in moves] == [200, 200, 409]


async def test_a_wish_for_a_full_session_is_heard_and_confirmed_when_a_seat_is_free(api: Api):
    service = await offer(api, "services", name="Back school", capacity=2)
    *seated, wisher = await patients(api, 3)
    full = [await book(api, "adams", p, NINE, service_id=service["id"]) for p in seated]
    more = {"service_id": service["id"], "status": "proposed"}
    wish = await book(api, "adams", wisher, NINE, **more)
    assert (wish.status_code, wish.json()["status"]) == (201, "proposed")
    path = f"/v1/appointments/{wish.json()['id']}/confirm"
    assert (await api.post(api.people.reception, path, {})).json()["code"] == "slot-taken"
    first = f"/v1/appointments/{full[0].json()['id']}/cancel"
    assert (await api.post(api.people.reception, first, {})).status_code == 200
    assert (await api.post(api.people.reception, path, {})).json()["status"] == "booked"


async def test_a_time_outside_the_hours_must_be_allowed_of_the_visit_as_it_is_and_as_it_will_be(
    api: Api, database_url: str
):
    (mine,), desk = await patients(api, 1), api.people.admin
    baker = str(api.people.baker.subject.doctor_id)
    visit = await book(api, "adams", mine, NINE)
    hours = {"weekday": 1, "start": "04:00", "end": "05:00"}
    assert (await api.post(desk, f"/v1/doctors/{baker}/schedules", hours)).status_code == 201
    connection = await asyncpg.connect(database_url)
    await connection.execute(f"UPDATE doctor SET department = 'surgery' WHERE id = '{baker}'")
    await connection.execute(f"UPDATE doctor SET department = 'care' WHERE id <> '{baker}'")
    await connection.close()
    there = {"start": NINE.isoformat(), "doctor_id": baker, "override": True}
    path = f"/v1/appointments/{visit.json()['id']}/reschedule"
    snapshot = api.clinic.policy._snapshot
    for only in (
        "r.obj.doctor_id == r.sub.doctor_id",
        "r.obj.doctor_id != r.sub.doctor_id",
        "r.obj.department != 'surgery'",
    ):
        rules = [
            replace(r, condition=only) if r.id == "appointment-override" else r for r in defaults()
        ]
        api.clinic.policy._snapshot = type(snapshot).build(snapshot.version, rules)
        refused = await api.post(api.people.adams, path, there)
        assert refused.status_code == 403, (only, refused.text)
