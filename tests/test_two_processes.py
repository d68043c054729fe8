"""A change of rights made in one process acts in another within a second."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.apis import Api
from tests.apis import serve as serve_api
from tests.running import running


@asynccontextmanager
async def serve(database_url: str, home: Path, issuer: str) -> AsyncIterator[Api]:
    async with serve_api(database_url, home) as api:
        api.app.state.tokens = api.tokens
        api.tokens.issuer = issuer
        yield api


@pytest.fixture
async def both(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Api, httpx.AsyncClient]]:
    """One process is this one, the other is a server of its own, on the same database and keys."""
    async with (
        running(serve, database_url, tmp_path) as (issuer, here),
        httpx.AsyncClient(base_url=issuer) as there,
    ):
        yield here, there


async def change(api: Api, http: httpx.AsyncClient, **to: Any) -> float:
    """Change the nurse's account; return when it was answered."""
    path = f"/v1/accounts/{api.people.nurse.subject.id}"
    headers = await api.bearer(api.people.admin) | {"If-Match": "*"}
    answer = await http.patch(path, json=to, headers=headers)
    assert answer.status_code == 200, answer.text
    return time.monotonic()


async def until(asked: httpx.AsyncClient, headers: dict[str, str], wanted: Any, at: float) -> float:
    """Ask who one is until the answer is as wanted; return how long that was after a moment."""
    while True:
        answer = await asked.get("/v1/me", headers=headers)
        if wanted(answer):
            return time.monotonic() - at
        assert time.monotonic() - at < 5, answer.text


async def test_a_change_acts_in_every_process_within_a_second(both: tuple[Api, httpx.AsyncClient]):
    here, there = both
    nurse = await here.bearer(here.people.nurse)
    for http in (here.http, there):
        assert (await http.get("/v1/me", headers=nurse)).json()["roles"] == ["nurse"]
    at = await change(here, here.http, roles=["receptionist"])
    took = await until(there, nurse, lambda a: a.json().get("roles") == ["receptionist"], at)
    assert took <= 1
    assert (await here.http.get("/v1/me", headers=nurse)).json()["roles"] == ["receptionist"]
    at = await change(here, there, active=False)
    assert (await there.get("/v1/me", headers=nurse)).status_code == 401, "at once where it is made"
    assert await until(here.http, nurse, lambda a: a.status_code == 401, at) <= 1
