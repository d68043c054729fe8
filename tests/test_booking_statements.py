"""A booking is one statement: the row and its event are there together, or neither is."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from core.clock import now
from core.crypto.sealed import PlaintextError
from records.clinic import Clinic
from records.scheduling import slots, taking
from records.scheduling.booking import book
from records.scheduling.taken import SlotTaken
from tests.clinics import People, open_clinic, outbox, populate

START = (now() + timedelta(days=9)).replace(minute=0, second=0, microsecond=0)
TOGETHER = """
SELECT appointment.xmin = outbox.xmin FROM appointment, audit.outbox
WHERE convert_from(body, 'UTF8')::json -> 'resource_ids' ->> 0 = appointment.id::text AND appointment.id = $1
"""


@pytest.fixture
async def clinic(database_url: str, tmp_path: Path) -> AsyncIterator[Clinic]:
    async with open_clinic(database_url, tmp_path) as clinic:
        yield clinic


@pytest.fixture
async def people(clinic: Clinic) -> People:
    return await populate(clinic)


async def booked(clinic: Clinic, people: People) -> Any:
    """Book without a transaction around it."""
    return await book(
        clinic.database,
        clinic,
        people.reception,
        patient_id=people.patient_id,
        doctor_id=people.adams.subject.doctor_id,
        start=START,
        reason="Zygomatic twinge",
    )


async def events(url: str) -> list[str]:
    return [e["action"] for e in await outbox(url) if e["resource_type"] == "appointment"]


async def test_a_lost_race_leaves_no_event_of_a_booking(
    clinic: Clinic, people: People, database_url: str
):
    await booked(clinic, people)
    before = await events(database_url)
    with pytest.raises(SlotTaken):
        await booked(clinic, people)
    assert await events(database_url) == before


async def test_the_number_of_a_lost_race_is_declared_void(
    clinic: Clinic, people: People, database_url: str
):
    await booked(clinic, people)
    with pytest.raises(SlotTaken):
        await booked(clinic, people)
    async with asyncio.timeout(10):
        while "void" not in [e["action"] for e in await outbox(database_url)]:  # noqa: ASYNC110 - a row, no event of this loop
            await asyncio.sleep(0.1)


async def test_a_booking_and_its_event_are_of_one_transaction(
    clinic: Clinic, people: People, database_url: str
):
    made = await booked(clinic, people)
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval(TOGETHER, made.id) is True
    finally:
        await connection.close()


async def test_of_many_at_once_one_books(clinic: Clinic, people: People, database_url: str):
    tries = (booked(clinic, people) for _ in range(20))
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(a, SlotTaken) for a in answers) == 19
    assert (await events(database_url)).count("book") == 2, (
        "the one of `populate`, and the winner's"
    )


async def test_which_times_are_free_is_planned_a_few_times_and_not_at_each_call(
    clinic: Clinic, people: People
):
    asked = {
        "starts": [START], "ends": [START + timedelta(minutes=30)],
        "blocked_from": [START], "blocked_until": [START + timedelta(minutes=30)],
        "doctors": [people.adams.subject.doctor_id], "sessions": [None], "capacities": [1],
        "locations": [None], "room_kinds": [None], "patient_id": None, "moving": None, "most": 3,
    }  # fmt: skip
    for _ in range(12):
        assert len(await clinic.database.all(slots._FREE, **asked)) == 1
    async with clinic.database.bare() as connection:  # the one that was used last
        plans = (
            "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement = $1"
        )
        assert tuple(await connection.fetchrow(plans, slots._FREE.sql)) == (5, 7)


async def test_a_statement_takes_no_plain_text_for_a_cell():
    given = dict.fromkeys(taking._TAKE._names)
    with pytest.raises(PlaintextError):
        taking._TAKE.arguments(given | {"reason": "Zygomatic twinge"})
