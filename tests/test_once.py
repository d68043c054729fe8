"""Idempotency-Key: however often a request comes, what it makes is made once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from core.clock import now
from tests.apis import Api, serve
from tests.clinics import open_always, outbox

LOCKED = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


def booking(api: Api, days: int = 3) -> dict[str, str]:
    start = (now() + timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
    return {
        "patient_id": str(api.people.patient_id),
        "doctor_id": str(api.people.adams.subject.doctor_id),
        "start": start.isoformat(),
        "reason": "Zygomatic twinge",
    }


async def book(api: Api, body: object, key: str = "k-1", who: str = "reception"):
    bearer = await api.bearer(getattr(api.people, who))
    return await api.http.post(
        "/v1/appointments", headers=bearer | {"Idempotency-Key": key}, json=body
    )


async def sql(url: str, text: str):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(text)
    finally:
        await connection.close()


async def visits(url: str) -> int:
    return (await sql(url, "SELECT count(*) FROM appointment"))[0][0]


async def test_a_key_with_another_body_is_invalid(api: Api):
    assert (await book(api, booking(api))).status_code == 201
    refused = await book(api, booking(api, 4))
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency-key-reused")
    assert [e["pointer"] for e in refused.json()["errors"]] == ["/idempotency-key"]


async def test_an_empty_key_is_no_key(api: Api):
    refused = await book(api, booking(api), "")
    assert (refused.status_code, refused.json()["code"]) == (400, "bad-parameter")


async def test_while_the_first_runs_the_second_is_told_so(api: Api, database_url: str):
    lock = await asyncpg.connect(database_url)
    transaction = lock.transaction()
    await transaction.start()
    await lock.execute("LOCK TABLE appointment IN EXCLUSIVE MODE")
    first = asyncio.create_task(book(api, booking(api)))
    async with asyncio.timeout(10):
        while not await sql(database_url, LOCKED):  # noqa: ASYNC110 - not a lock of this process
            await asyncio.sleep(0.01)
    second = await book(api, booking(api))
    await transaction.rollback()
    await lock.close()
    assert (second.status_code, second.json()["code"]) == (409, "idempotency-in-progress")
    assert (await first).status_code == 201
    assert (await book(api, booking(api))).headers["idempotent-replayed"] == "true"


async def test_the_same_request_gets_the_same_answer(api: Api):
    first, second = await book(api, booking(api)), await book(api, booking(api))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    for name in ("location", "etag", "content-type"):
        assert first.headers[name] == second.headers[name]


async def test_a_replay_is_decided_and_noted_like_any_read(api: Api, database_url: str):
    made = (await book(api, booking(api))).json()["id"]
    before = await outbox(database_url)
    await book(api, booking(api))
    new = [e for e in await outbox(database_url) if e not in before]
    assert [(e["action"], e["resource_ids"]) for e in new] == [("read", [made])]


async def test_one_key_means_one_thing_to_each_caller(api: Api):
    await open_always(api.clinic, api.people.adams)
    assert (await book(api, booking(api))).status_code == 201
    other = await book(api, booking(api, 4), who="patient")
    assert other.status_code == 201
    assert "idempotent-replayed" not in other.headers


@pytest.mark.parametrize("times", [20])
async def test_of_many_equal_requests_at_once_one_books(api: Api, database_url: str, times: int):
    before = await visits(database_url)
    answers = await asyncio.gather(*(book(api, booking(api)) for _ in range(times)))
    assert await visits(database_url) == before + 1
    assert {a.status_code for a in answers} <= {201, 409}
    assert len({a.json()["id"] for a in answers if a.status_code == 201}) == 1
    refused = {a.json()["code"] for a in answers if a.status_code == 409}
    assert refused <= {"idempotency-in-progress"}


async def test_no_booking_without_its_key_and_no_key_without_its_booking(
    api: Api, database_url: str
):
    """The crash between effect and record: whatever stops the second write takes the first with it."""
    before = await visits(database_url)
    await sql(database_url, "ALTER TABLE idempotency_key ADD CONSTRAINT crash CHECK (false)")
    assert (await book(api, booking(api))).status_code == 409
    assert await visits(database_url) == before
    await sql(database_url, "ALTER TABLE idempotency_key DROP CONSTRAINT crash")
    again = await book(api, booking(api))
    assert (again.status_code, "idempotent-replayed" in again.headers) == (201, False)


async def test_a_refusal_does_not_use_the_key_up(api: Api, database_url: str):
    taken = await book(api, booking(api), "other")
    assert (await book(api, booking(api))).json()["code"] == "slot-taken"
    assert len(await sql(database_url, "SELECT 1 FROM idempotency_key")) == 1
    await api.post(api.people.reception, f"{taken.headers['location']}/cancel", {})
    assert (await book(api, booking(api))).status_code == 201


async def test_a_cancelled_slot_is_booked_again_under_a_new_key(api: Api):
    """Reported elsewhere: the key was made of doctor and time, and the slot was lost for good."""
    first = await book(api, booking(api))
    await api.post(api.people.reception, f"{first.headers['location']}/cancel", {})
    second = await book(api, booking(api), "k-2")
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


async def test_a_key_is_new_again_after_a_day(api: Api, database_url: str):
    await book(api, booking(api))
    await sql(database_url, "UPDATE idempotency_key SET created_at = now() - interval '25 hours'")
    fresh = await book(api, booking(api, 5))
    assert (fresh.status_code, "idempotent-replayed" in fresh.headers) == (201, False)


async def test_neither_key_nor_body_can_be_read_off_the_database(api: Api, database_url: str):
    await book(api, booking(api), "Quillfeather's twinge")
    (row,) = await sql(database_url, "SELECT * FROM idempotency_key")
    assert len(row["token"]) == len(row["body"]) == 16
    assert "twinge" not in repr(dict(row))


async def test_a_record_is_written_once_under_a_key(api: Api):
    path = f"/v1/appointments/{api.people.appointment_id}/records"
    body = {"kind": "note", "title": "Twinge", "content": {"text": "Left knee"}}
    bearer = await api.bearer(api.people.adams) | {"Idempotency-Key": "r"}
    first, second = [await api.http.post(path, headers=bearer, json=body) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    elsewhere = path.replace(str(api.people.appointment_id), str(api.people.record.id))
    reused = await api.http.post(elsewhere, headers=bearer, json=body)
    assert reused.json()["code"] == "idempotency-key-reused"


async def test_a_patient_is_registered_once_under_a_key(api: Api):
    new = {"name": {"family": "Once", "given": "Ann"}, "birth_date": "1980-01-02", "sex": "female"}
    bearer = await api.bearer(api.people.reception) | {"Idempotency-Key": "registration"}
    answers = [await api.http.post("/v1/patients", json=new, headers=bearer) for _ in range(2)]
    assert [a.status_code for a in answers] == [201, 201]
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    ids = {a.json()["id"] for a in answers}
    assert len(ids) == 1
    assert answers[0].json().keys() == answers[1].json().keys()
