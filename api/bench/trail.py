"""The proof that secured reads were secured: their events, and how fast the pipeline takes them to the ledger."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from api.bench.place import Place
from core.embedded import rabbitmq
from core.embedded.processes import ProcessError
from core.pool import alone

_READS = """
SELECT count(*) FROM (SELECT convert_from(body, 'UTF8')::json AS e FROM audit.outbox) AS outbox
WHERE e->>'action' = 'read' AND e->>'resource_type' = 'record' AND e->>'outcome' = 'allow'
"""
_WAITING = "SELECT count(*) FROM audit.outbox"
_SOME = "SELECT body FROM audit.outbox LIMIT 1000"
_UNNEST = """
INSERT INTO floor.audit (id, body) SELECT i, b FROM unnest($1::uuid[], $2::bytea[]) AS given (i, b)
"""
SECONDS_TO_INSERT = 2.0
SECONDS_TO_BEGIN = 60.0
SECONDS_TO_WATCH = 20.0


@dataclass(frozen=True, slots=True)
class Pipeline:
    """How the relay and one worker emptied the outbox, or why they did not run.

    `floor` is the pace of PostgreSQL alone: the same bodies, a thousand to one INSERT.
    """

    ran: bool
    note: str
    events: int = 0
    events_per_second: float | None = None
    floor: float | None = None
    ratio: float | None = None


def read_events(here: Place) -> int:
    """Return how many allowed reads of records the outbox holds. Nothing has left it while no relay runs."""
    found: int = asyncio.run(value(here, _READS))
    return found


def measure_pipeline(here: Place, home: Path) -> Pipeline:
    """Start broker, worker and relay if a broker can be had; return how they caught up with the outbox.

    A broker of our own only: on a shared one, another clinic's worker would take our batches.
    """
    installation = rabbitmq.obtain(home)
    if installation is None:
        return Pipeline(ran=False, note="RabbitMQ is not installed and could not be fetched")
    floor = asyncio.run(_insert_pace(here))
    rabbitmq.await_ready(here.home, rabbitmq.start(here.home, here.family, installation))
    broker = SecretStr(rabbitmq.url(here.home))
    here.settings = here.settings.model_copy(update={"broker_url": broker})
    for name in ("worker", "relay"):
        here.start(name, "api.cli", name)
    return asyncio.run(_caught_up(here, floor))


async def _insert_pace(here: Place) -> float:
    """Return how many of the outbox's events a second PostgreSQL stores, a thousand to one INSERT."""
    async with alone(here.settings.postgres_url) as connection:
        rows = await connection.fetch(_SOME)
        bodies, rounds, began = [row["body"] for row in rows], 0, time.monotonic()
        while time.monotonic() - began < SECONDS_TO_INSERT:
            await connection.execute(_UNNEST, [uuid4() for _ in bodies], bodies)
            rounds += 1
        return rounds * len(bodies) / (time.monotonic() - began)


async def _caught_up(here: Place, floor: float) -> Pipeline:
    """Watch from the first batch that arrives until nothing waits, or long enough to know the pace."""
    first = await value(here, _WAITING)
    deadline = time.monotonic() + SECONDS_TO_BEGIN
    while (left := await value(here, _WAITING)) == first:
        if time.monotonic() > deadline:
            raise ProcessError(f"no event reached the ledger, see {here.family.logs}")
        await asyncio.sleep(0.05)
    begun, began = left, time.monotonic()
    while left and time.monotonic() - began < SECONDS_TO_WATCH:
        await asyncio.sleep(0.2)
        left = await value(here, _WAITING)
    pace = (begun - left) / (time.monotonic() - began)
    return Pipeline(True, "RabbitMQ, one worker", first - left, pace, floor, pace / floor)


def drained(here: Place) -> None:
    """Return once the ledger has all that was in the outbox; ProcessError when that takes long."""
    deadline = time.monotonic() + SECONDS_TO_BEGIN
    while asyncio.run(value(here, _WAITING)):
        if time.monotonic() > deadline:
            raise ProcessError(f"the outbox does not empty, see {here.family.logs}")
        time.sleep(0.2)


async def value(here: Place, query: str) -> Any:
    """Return what a query answers, asked as the database's owner."""
    async with alone(here.settings.postgres_url) as connection:
        return await connection.fetchval(query)
