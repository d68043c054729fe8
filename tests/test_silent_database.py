"""A database that is there and does not answer: every request is told 503 and when to come again, in good time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import httpx
import pytest

from core import database
from core.database import Database
from core.errors import Unavailable
from tests.apis import Api, serve
from tests.deaf import Way, way_to

PATIENCE = 0.5


@pytest.fixture
async def way(database_url: str) -> AsyncIterator[Way]:
    async with way_to(database_url) as way:
        yield way


@pytest.fixture
async def api(way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setattr(database, "TIMEOUT", PATIENCE)
    monkeypatch.setenv("CONFIDE_DATABASE_DEADLINE", str(PATIENCE))
    async with serve(way.url, tmp_path) as api:
        yield api
        way.open.set()


def requests(api: Api) -> list[tuple[str, str, dict[str, object]]]:
    """One of each way into the database: compiled reads, lists, searches and writes."""
    people = api.people
    wanted = {"family": "Quillfeather", "birth_date": "1971-03-09"}
    note = {"kind": "note", "title": "A note", "content": {"text": "words"}}
    return [
        ("GET", f"/v1/records/{people.record.id}", {}),
        ("GET", f"/v1/patients/{people.patient_id}/records", {}),
        ("GET", "/v1/patients", {}),
        ("POST", "/v1/patients/search", {"json": wanted}),
        ("POST", f"/v1/appointments/{people.appointment_id}/records", {"json": note}),
    ]


def told_to_come_again(answer: httpx.Response) -> None:
    assert answer.status_code == 503, (answer.request.url, answer.text)
    assert answer.headers["Retry-After"]
    assert answer.json()["code"] in {"database-unavailable", "audit-unavailable"}


async def test_every_request_to_a_silent_database_is_told_503_and_the_next_is_served(
    api: Api, way: Way
):
    bearer = await api.bearer(api.people.adams)
    asked = requests(api)
    for method, path, given in asked:  # so that connections are open, and the token is known
        assert (await api.http.request(method, path, headers=bearer, **given)).is_success, path
    way.open.clear()
    began = monotonic()
    answers = await asyncio.gather(
        *(api.http.request(m, path, headers=bearer, **given) for m, path, given in asked * 3)
    )
    assert monotonic() - began < 10
    for answer in answers:
        told_to_come_again(answer)
    way.open.set()
    for method, path, given in asked:
        assert (await api.http.request(method, path, headers=bearer, **given)).is_success, path


async def test_a_connection_that_is_not_made_in_time_is_unavailable_on_both_ways_in(
    way: Way, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "TIMEOUT", PATIENCE)
    way.open.clear()
    silent = Database(way.url)
    with pytest.raises(Unavailable):
        await silent.open()
    with pytest.raises(Unavailable):
        async with silent.transaction() as session:
            await session.connection()
    await silent.close()
