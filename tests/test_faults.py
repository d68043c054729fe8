"""kill -9 of whatever carries the trail: no event is lost, and no reader waits for the dead."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import asyncpg
import pytest

from core.embedded import rabbitmq
from records.clinic import Clinic
from records.clinical.reading import read_record
from tests.clinics import People, open_clinic, populate
from tests.pipelines import Pipeline, pipeline
from tests.servers import require_rabbitmq

PATIENCE = 1.0
"""Seconds a read may take, whatever has just been killed."""


@pytest.fixture
def own_broker(home: Path) -> str:
    """The URL of a broker that this test may kill."""
    require_rabbitmq()
    return rabbitmq.url(home)


@pytest.fixture
def line(own_broker: str, database_url: str, home: Path) -> Iterator[Pipeline]:
    with pipeline(database_url, own_broker, home) as line:
        start_broker(line)
        yield line


@pytest.fixture
async def clinic(database_url: str, home: Path) -> AsyncIterator[Clinic]:
    async with open_clinic(database_url, home) as clinic:
        yield clinic


def start_broker(line: Pipeline) -> None:
    rabbitmq.await_ready(line.home, rabbitmq.start(line.home, line.family, require_rabbitmq()))


async def read_for(clinic: Clinic, people: People, seconds: float) -> tuple[int, float]:
    """Read without a pause; return how often, and how long the slowest took."""
    reads, slowest, end = 0, 0.0, monotonic() + seconds
    while (began := monotonic()) < end:
        await read_record(clinic, people.adams, people.record.id)
        reads, slowest = reads + 1, max(slowest, monotonic() - began)
    return reads, slowest


async def number_of_reads(url: str) -> int:
    connection = await asyncpg.connect(url)
    number = await connection.fetchval(
        "SELECT count(*) FROM audit.event WHERE action = 'read' AND outcome = 'allow'"
    )
    await connection.close()
    return number


@pytest.mark.parametrize("victim", ["worker", "relay", "broker"])
async def test_killing_a_part_of_the_pipeline_loses_no_event_and_delays_no_read(
    clinic: Clinic, line: Pipeline, database_url: str, victim: str
):
    people = await populate(clinic)
    await line.drained(60)
    await asyncio.sleep(5)  # a quorum queue declared a moment ago may not survive (RabbitMQ 3.10)
    reading = asyncio.create_task(read_for(clinic, people, 6))
    await asyncio.sleep(1)
    line.kill(victim)
    await asyncio.sleep(2)
    if victim == "broker":
        await asyncio.to_thread(start_broker, line)
    else:
        line.start(victim)
    reads, slowest = await reading
    await line.drained(90)
    assert slowest < PATIENCE
    assert reads > 0
    assert await number_of_reads(database_url) == reads
