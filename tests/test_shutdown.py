"""Every process that is told to stop ends well and soon, in the middle of its work: it finishes what it began, and loses no event."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import asyncpg
import httpx
import pytest

from core.embedded.processes import Child
from core.pool import alone
from tests.apis import Api, serve
from tests.pipelines import Pipeline
from tests.running import answers, free_port
from tests.servers import CHECKOUT, execute

NAMES = ("relay", "worker", "chores", "sealer")
SOON = 10.0
SAID = "worker: Warm shutdown"
"""What Celery says, past every log, on a signal."""
READERS = 16
HEALTHY = 'confide_requests_total{method="GET",route="/healthz",status="200"}'


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


@asynccontextmanager
async def served(
    database_url: str, home: Path, *options: str
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    port = free_port()
    settings = {
        "CONFIDE_HOME": str(home),
        "CONFIDE_PORT": str(port),
        "CONFIDE_ISSUER": "http://127.0.0.1:8000",  # the one that the tokens name
        "CONFIDE_DATABASE_URL": database_url,
        "CONFIDE_ENVIRONMENT": "development",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.cli", "serve", *options),
        env=os.environ | settings,
        cwd=CHECKOUT,
    )
    try:
        await answers(f"http://127.0.0.1:{port}/healthz")
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.returncode is None:
            process.terminate()  # which reaches its own processes too
            await process.wait()


async def read_until_refused(url: str, headers: dict[str, str], statuses: list[int]) -> None:
    """Read one record over and over, until nobody listens any more."""
    async with httpx.AsyncClient() as client:
        while True:
            try:
                statuses.append((await client.get(url, headers=headers)).status_code)
            except httpx.ConnectError:
                return
            except httpx.TransportError:
                # The connection was closed between two requests; the next try finds no listener.
                continue


async def events(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetchval(
            "SELECT count(*) FROM audit.outbox WHERE convert_from(body, 'UTF8')::jsonb ->> 'action' = 'read'"
        )
    finally:
        await connection.close()


async def test_reads_under_way_are_answered_and_each_answer_has_its_event(
    api: Api, database_url: str, tmp_path: Path
):
    headers = await api.bearer(api.people.adams)
    async with served(database_url, tmp_path) as (base, process):
        url = f"{base}/v1/records/{api.people.record.id}"
        answered: list[int] = []
        reading = [
            asyncio.create_task(read_until_refused(url, headers, answered)) for _ in range(READERS)
        ]
        while len(answered) < 2 * READERS:  # noqa: ASYNC110 - nobody sets an event when one more is in
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        await asyncio.gather(*reading)
        assert await asyncio.wait_for(process.wait(), 15) in {0, -signal.SIGTERM}
    assert set(answered) == {200}
    # One fewer: an answer without its event. One more: a read that was begun, noted and cut off.
    assert await events(database_url) == len(answered)


@pytest.mark.usefixtures("api")
async def test_a_process_that_serves_is_known_before_its_first_event(
    database_url: str, tmp_path: Path
):
    async def producers() -> int:
        async with alone(database_url) as connection:
            return await connection.fetchval("SELECT count(*) FROM audit.producer")

    before = await producers()
    async with served(database_url, tmp_path):
        assert await producers() == before + 1


@pytest.mark.usefixtures("api")
async def test_whichever_of_two_processes_is_asked_tells_what_both_counted(
    database_url: str, tmp_path: Path
):
    async def asked(path: str) -> str:
        async with httpx.AsyncClient(
            base_url=base
        ) as client:  # a connection each: either may take it
            return (await client.get(path)).text

    def counted(metrics: str) -> float:
        (line,) = [row for row in metrics.splitlines() if row.startswith(HEALTHY)]
        return float(line.rpartition(" ")[2])

    async with served(database_url, tmp_path, "--workers", "2") as (base, _):
        before = counted(await asked("/metrics"))
        await asyncio.gather(*(asked("/healthz") for _ in range(40)))
        told = await asyncio.gather(*(asked("/metrics") for _ in range(8)))
    assert {counted(metrics) - before for metrics in told} == {40}
    assert "confide_audit_outbox_seconds" in told[0]


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
