"""The proof that secured reads were secured: their events, and how fast the pipeline takes them to the ledger."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from api.bench.place import Place
from core.embedded import rabbitmq
from core.embedded.processes import ProcessError

_READS = """
SELECT count(*) FROM (SELECT convert_from(body, 'UTF8')::json AS e FROM audit.outbox) AS outbox
WHERE e->>'action' = 'read' AND e->>'resource_type' = 'record' AND e->>'outcome' = 'allow'
"""
_WAITING = "SELECT count(*) FROM audit.outbox"
SECONDS_TO_BEGIN = 60.0
SECONDS_TO_WATCH = 20.0


@dataclass(frozen=True, slots=True)
class Pipeline:
    """How the relay and one worker emptied the outbox, or why they did not run."""

    ran: bool
    note: str
    events: int = 0
    events_per_second: float | None = None


def read_events(here: Place) -> int:
    """Return how many allowed reads of records the outbox holds. Nothing has left it while no relay runs."""
    return asyncio.run(_value(here, _READS))


def start_pipeline(here: Place, home: Path) -> Pipeline:
    """Start broker, worker and relay if a broker is at hand; return how they caught up with the outbox.

    A broker of our own only: on a shared one, another clinic's worker would take our batches.
    """
    if rabbitmq.installed() is None and not (home / "rabbitmq" / ".packages").exists():
        return Pipeline(ran=False, note="no RabbitMQ installed, nor fetched by `make run`")
    installation = rabbitmq.obtain(home)
    if installation is None:
        return Pipeline(ran=False, note="RabbitMQ could not be fetched")
    rabbitmq.await_ready(here.home, rabbitmq.start(here.home, here.family, installation))
    broker = SecretStr(rabbitmq.url(here.home))
    here.settings = here.settings.model_copy(update={"broker_url": broker})
    for name in ("worker", "relay"):
        here.start(name, "api.cli", name)
    return asyncio.run(_caught_up(here))


async def _caught_up(here: Place) -> Pipeline:
    """Watch from the first batch that arrives until nothing waits, or long enough to know the pace."""
    first = await _value(here, _WAITING)
    deadline = time.monotonic() + SECONDS_TO_BEGIN
    while (left := await _value(here, _WAITING)) == first:
        if time.monotonic() > deadline:
            raise ProcessError(f"no event reached the ledger, see {here.family.logs}")
        await asyncio.sleep(0.05)
    begun, began = left, time.monotonic()
    while left and time.monotonic() - began < SECONDS_TO_WATCH:
        await asyncio.sleep(0.2)
        left = await _value(here, _WAITING)
    pace = (begun - left) / (time.monotonic() - began)
    return Pipeline(True, "RabbitMQ, one worker", first - left, pace)


async def _value(here: Place, query: str) -> int:
    connection = await asyncpg.connect(here.settings.postgres_url)
    try:
        found: int = await connection.fetchval(query)
    finally:
        await connection.close()
    return found
