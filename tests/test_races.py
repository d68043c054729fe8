"""Two hundred at once for one doctor, one patient, one room: one gets it, ten times over; and no way round by SQL.

CONFIDE_RACES says how many times; the ordinary suite does ten.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from tests.apis import Api, serve
from tests.test_offers import NINE, offer, patients

RACES = int(os.environ.get("CONFIDE_RACES", "10"))
RACERS = 200
COPY = """
INSERT INTO appointment (id, patient_id, person_id, key_id, doctor_id, status, version, created_by, moves, created_at,
    starts_at, ends_at, location_id)
SELECT gen_random_uuid(), k.patient_id, k.patient_id, k.key_id, d.id, 'booked', 1, created_by, 0, now(),
    starts_at + interval '10 min', ends_at + interval '10 min', {room}
FROM appointment a, patient_key k, doctor d
WHERE a.starts_at = $1 AND k.patient_id {patient} a.patient_id AND d.id {doctor} a.doctor_id
LIMIT 1
"""
CONTESTS = {
    "doctor": {"patient": "<>", "doctor": "=", "room": "NULL"},
    "patient": {"patient": "=", "doctor": "<>", "room": "NULL"},
    "room": {"patient": "<>", "doctor": "<>", "room": "a.location_id"},
}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


@pytest.mark.parametrize("contest", CONTESTS)
async def test_of_two_hundred_at_once_one_gets_the_time_and_sql_gets_no_second(
    api: Api, database_url: str, contest: str
):
    room = await offer(api, "locations", name="Room")
    everybody = await patients(api, 20)
    bearer = await api.bearer(api.people.reception)
    connection = await asyncpg.connect(database_url)
    doctors = [str(getattr(api.people, who).subject.doctor_id) for who in ("adams", "baker")]

    async def one(number: int, start: str) -> int:
        body = {
            "doctor_id": doctors[0 if contest == "doctor" else number % 2],
            "patient_id": everybody[0 if contest == "patient" else number % len(everybody)],
            "start": start,
            **({"location_id": room["id"]} if contest == "room" else {}),
        }
        answer = await api.http.post("/v1/appointments", headers=bearer, json=body)
        return answer.status_code

    for race in range(RACES):
        start = NINE + race * timedelta(hours=1)
        codes = await asyncio.gather(*(one(n, start.isoformat()) for n in range(RACERS)))
        assert sorted(codes) == [201] + [409] * (RACERS - 1)
        with pytest.raises(asyncpg.ExclusionViolationError) as refusal:
            await connection.execute(COPY.format(**CONTESTS[contest]), start)
        assert refusal.value.constraint_name == f"{contest}_taken"
    held = await connection.fetchval(
        "SELECT count(*) FROM appointment WHERE status = 'booked' AND starts_at >= $1", NINE
    )
    assert held == RACES
    await connection.close()
