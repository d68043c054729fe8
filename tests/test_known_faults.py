"""What users of other booking systems ask for and do not get; docs/visits.md lists which test shows which."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.apis import Api, serve
from tests.test_offers import NINE, book, offer, patients
from tests.test_slots import slots, window

PROPOSED = """
INSERT INTO appointment (id, patient_id, person_id, key_id, doctor_id, status, version, created_by, moves, created_at,
    starts_at, ends_at)
SELECT gen_random_uuid(), k.patient_id, k.patient_id, k.key_id, a.doctor_id, 'proposed', 1, created_by, 0, now(), $1, $2
FROM appointment a, patient_key k WHERE k.patient_id <> a.patient_id
RETURNING id
"""


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def under(api: Api, key: str, body: dict[str, Any]):
    headers = await api.bearer(api.people.reception) | {"Idempotency-Key": key}
    return await api.http.post("/v1/appointments", headers=headers, json=body)


async def test_of_many_requests_for_one_time_one_is_confirmed(api: Api, database_url: str):
    await patients(api, 12)
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(PROPOSED, NINE, NINE + timedelta(minutes=30))
    await connection.close()
    desk = api.people.reception
    answers = await asyncio.gather(
        *(api.post(desk, f"/v1/appointments/{row['id']}/confirm", {}) for row in rows)
    )
    assert Counter(a.status_code for a in answers) == {200: 1, 409: 11}
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"slot-taken"}


async def test_of_many_at_once_as_many_get_a_seat_as_there_are(api: Api):
    service = await offer(api, "services", name="Back school", capacity=3)
    everybody = await patients(api, 30)
    answers = await asyncio.gather(
        *(book(api, "adams", patient, NINE, service_id=service["id"]) for patient in everybody)
    )
    assert Counter(a.status_code for a in answers) == {201: 3, 409: 27}


async def test_a_key_outlives_the_move_to_another_doctor_and_the_freed_time_is_booked_anew(
    api: Api,
):
    mine, other = await patients(api, 2)
    adams, baker = (str(getattr(api.people, who).subject.doctor_id) for who in ("adams", "baker"))
    body = {"patient_id": mine, "doctor_id": adams, "start": NINE.isoformat()}
    first = await under(api, "one", body)
    path = f"/v1/appointments/{first.json()['id']}/reschedule"
    move = {"start": NINE.isoformat(), "doctor_id": baker}
    assert (await api.post(api.people.reception, path, move)).status_code == 200
    again = await under(api, "one", body)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert again.json()["doctor_id"] == baker
    assert (await under(api, "two", body | {"patient_id": other})).status_code == 201


async def test_the_fields_of_a_slot_book_it_as_they_are(api: Api):
    await offer(api, "locations", name="Scanner", room_kind="scan")
    service = await offer(api, "services", name="Scan", room_kind="scan", duration_minutes=20)
    await window(api)
    slot = (await slots(api, service_id=service["id"]))[0]
    body = {"patient_id": str(api.people.patient_id), **slot}
    booked = await api.post(api.people.patient, "/v1/appointments", body)
    assert booked.status_code == 201, booked.text
    assert {name: booked.json()[name] for name in slot} == slot


async def test_a_cancelled_visit_keeps_its_status_and_its_reason_when_its_time_is_booked_again(
    api: Api,
):
    mine, other = await patients(api, 2)
    visit = (await book(api, "adams", mine, NINE)).json()
    path = f"/v1/appointments/{visit['id']}"
    await api.post(api.people.reception, f"{path}/cancel", {"reason_code": "oth-weath"})
    assert (await book(api, "adams", other, NINE)).status_code == 201
    read = (await api.get(api.people.reception, path)).json()
    assert (read["status"], read["cancellation_reason"]) == ("cancelled", "oth-weath")
    assert UUID(read["id"]) == UUID(visit["id"])
