"""Relay, worker, chores and sealer, told to stop in the middle of their work: each ends well and soon, and no event is lost."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import asyncpg
import pytest

from core.embedded.processes import Child
from tests.apis import Api, serve
from tests.pipelines import Pipeline
from tests.servers import execute

NAMES = ("relay", "worker", "chores", "sealer")
SOON = 10.0
SAID = "worker: Warm shutdown"
"""What Celery says, past every log, on a signal."""


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def read_until(api: Api, over: asyncio.Event) -> int:
    bearer, reads = await api.bearer(api.people.adams), 0
    while not over.is_set():
        answer = await api.http.get(f"/v1/records/{api.people.record.id}", headers=bearer)
        assert answer.status_code == 200
        reads += 1
    return reads


async def ended(child: Child) -> tuple[int | None, float]:
    """Tell a process to stop; return its exit code and how long it took."""
    began = monotonic()
    child.process.send_signal(signal.SIGTERM)
    await asyncio.to_thread(child.process.wait, 30)
    return child.exit_code, monotonic() - began


async def at_work(line: Pipeline) -> bool:
    """Tell whether each has done something: relay and worker fill the ledger, the sealer signs, chores plan."""
    connection = await asyncpg.connect(line.url)
    done = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM audit.event) AND EXISTS (SELECT FROM audit.checkpoint)"
    )
    await connection.close()
    return bool(done) and any(line.home.glob("chores.schedule*"))


def lines(line: Pipeline, name: str) -> list[str]:
    return (line.home / "logs" / f"{name}.log").read_text().splitlines()


async def test_each_ends_with_code_0_within_ten_seconds_and_no_event_is_lost(
    api: Api, database_url: str, broker: str, tmp_path: Path
):
    line, over = Pipeline(database_url, broker, tmp_path), asyncio.Event()
    reading = asyncio.create_task(read_until(api, over))
    try:
        line.start(*NAMES)
        async with asyncio.timeout(60):
            while not await at_work(line):  # noqa: ASYNC110 - they are other processes that act
                await asyncio.sleep(0.1)
        for name in NAMES:
            code, seconds = await ended(line.family.children[name])
            assert (name, code) == (name, 0), lines(line, name)[-5:]
            assert seconds < SOON, name
        over.set()
        reads = await reading
        await execute(database_url, "UPDATE audit.outbox SET sent_at = NULL")  # as 30 seconds do
        line.start("relay", "worker")
        await line.drained()
        assert len(set(await line.ledger())) == len(await line.ledger()) > reads
        for name in NAMES:
            for each in filter(str.strip, lines(line, name)):
                assert SAID in each or json.loads(each)["process"] == name, each
    finally:
        over.set()
        line.family.stop(*NAMES)
