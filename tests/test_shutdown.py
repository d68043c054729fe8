"""An API process that is told to stop finishes what it began, and loses no event."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.apis import Api, serve
from tests.running import answers, free_port
from tests.servers import CHECKOUT

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
