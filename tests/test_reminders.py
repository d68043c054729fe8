"""Reminders: a day and two hours before, in the clinic's day, to who has an address, once, and with nothing clinical."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core.settings import Settings
from records.clinic import Clinic
from records.scheduling.letters import notifier
from records.scheduling.reminding import (
    EVENING,
    LEAD,
    MORNING,
    ReminderKind,
    due,
    remind,
    text_of,
)
from tests.clinics import open_clinic, outbox, populate
from tests.inboxes import Inbox, open_inbox

ZONE = "America/New_York"
NOON = datetime.now(ZoneInfo(ZONE)).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(
    days=3
)


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, Settings]]:
    with open_inbox() as found:
        yield found


@pytest.fixture
async def clinic(database_url: str, tmp_path: Path) -> AsyncIterator[Clinic]:
    async with open_clinic(database_url, tmp_path) as clinic:
        await populate(clinic)
        await visit_at(database_url, NOON)
        yield clinic


async def visit_at(url: str, start: datetime) -> None:
    await sql(
        url,
        "UPDATE appointment SET starts_at = $1, ends_at = $2, blocked_from = NULL, blocked_until = NULL,"
        " created_at = now() - interval '9 days'",
        start,
        start + timedelta(minutes=30),
    )


async def sql(url: str, text: str, *given: object):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(text, *given)
    finally:
        await connection.close()


async def patient(url: str) -> str:
    (row,) = await sql(url, "SELECT id FROM patient")
    return str(row["id"])


async def at(moment: datetime, clinic: Clinic, here: Settings) -> int:
    with time_machine.travel(moment, tick=True):
        return await remind(clinic, ZONE, notifier(here))


async def test_nothing_is_sent_too_early_at_night_or_when_it_is_of_no_use(clinic, inbox):
    box, here = inbox
    for moment in (
        NOON - timedelta(hours=25),
        NOON - timedelta(hours=13),
        NOON - timedelta(minutes=10),
    ):
        assert await at(moment, clinic, here) == 0
    assert box.letters == []


async def test_each_of_the_two_is_sent_once_however_often_it_is_looked_for(clinic, inbox):
    box, here = inbox
    for hours in (23, 23, 22, 2, 1.5, 1):
        await at(NOON - timedelta(hours=hours), clinic, here)
    assert len(box.letters) == 2
    assert {m["To"] for m in box.letters} == {"philippa@quillfeather.example"}
    assert len({m["Message-ID"] for m in box.letters}) == 2


async def test_of_two_workers_at_once_one_sends(clinic, inbox):
    box, here = inbox
    with time_machine.travel(NOON - timedelta(hours=2), tick=True):
        await asyncio.gather(*(remind(clinic, ZONE, notifier(here)) for _ in range(4)))
    kinds = [m["Message-ID"] for m in box.letters]
    assert len(kinds) == len(set(kinds)) == 1


async def test_the_letter_says_when_and_nothing_else(clinic, inbox, database_url):
    box, here = inbox
    await at(NOON - timedelta(hours=23), clinic, here)
    text = box.letters[0].get_payload() + box.letters[0]["Subject"]
    assert f"{NOON:%d %B %Y} at 12:00" in text
    for secret in (
        "megrims",
        "Adams",
        "Quillfeather",
        "Philippa",
        str(await patient(database_url)),
    ):
        assert secret not in text


async def test_a_cancelled_visit_has_no_reminder(clinic, inbox, database_url):
    box, here = inbox
    await sql(database_url, "UPDATE appointment SET status = 'cancelled'")
    await at(NOON - timedelta(hours=23), clinic, here)
    assert box.letters == []


async def test_a_moved_visit_is_reminded_of_its_new_time(clinic, inbox, database_url):
    box, here = inbox
    await at(NOON - timedelta(hours=23), clinic, here)
    await visit_at(database_url, NOON + timedelta(days=2))
    await at(NOON - timedelta(hours=2), clinic, here)
    assert len(box.letters) == 1
    await at(NOON + timedelta(hours=25), clinic, here)
    assert len(box.letters) == 2
    assert f"{NOON + timedelta(days=2):%d %B}" in box.letters[1].get_payload()


async def test_what_the_server_did_not_take_is_sent_later(clinic, inbox, database_url):
    box, here = inbox
    dead = Settings(environment="development", smtp_url="smtp://127.0.0.1:9")
    assert await at(NOON - timedelta(hours=23), clinic, dead) == 0
    assert await sql(database_url, "SELECT 1 FROM reminder") == []
    assert await at(NOON - timedelta(hours=22), clinic, here) == 1
    assert len(box.letters) == 1


async def test_who_has_no_address_is_dealt_with_once(clinic, inbox, database_url):
    box, here = inbox
    await sql(database_url, "UPDATE patient SET email = NULL")
    assert await at(NOON - timedelta(hours=23), clinic, here) == 1
    assert await at(NOON - timedelta(hours=22), clinic, here) == 0
    assert box.letters == []


async def test_what_cannot_be_addressed_is_dealt_with_once_and_keeps_no_letter_back(
    clinic, inbox, database_url
):
    box, here = inbox
    await sql(database_url, "UPDATE patient SET email = phone")
    assert await at(NOON - timedelta(hours=23), clinic, here) == 1
    assert await at(NOON - timedelta(hours=22), clinic, here) == 0
    assert box.letters == []
    assert "error" in [e["outcome"] for e in await outbox(database_url)]


async def test_without_a_mail_server_the_log_says_which_and_not_to_whom(clinic, database_url):
    with capture_logs() as logged:
        assert (
            await at(NOON - timedelta(hours=23), clinic, Settings(environment="development")) == 1
        )
    (row,) = await sql(database_url, "SELECT id FROM appointment")
    assert str(row["id"]) in repr(logged)
    assert "philippa" not in repr(logged)


async def test_a_reminder_is_on_the_trail(clinic, inbox, database_url):
    _box, here = inbox
    await at(NOON - timedelta(hours=23), clinic, here)
    (event,) = [e for e in await outbox(database_url) if e["action"] == "notify"]
    assert (event["roles"], event["patient"]) == (["clockwork"], await patient(database_url))


@given(
    st.integers(0, 17_000).map(
        lambda hours: datetime(2026, 1, 1, 0, 20, tzinfo=UTC) + timedelta(hours=hours)
    ),
    st.sampled_from(ReminderKind),
    st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]),
)
def test_a_reminder_is_due_by_day_and_at_most_half_a_day_before_its_lead(start, kind, zone):
    at = due(start, kind, ZoneInfo(zone))
    local = at.astimezone(ZoneInfo(zone)).time()
    assert MORNING <= local <= EVENING
    early = start - LEAD[kind] - at
    assert timedelta(0) <= early <= timedelta(hours=13)


def test_the_text_has_no_place_for_anything_but_the_time():
    text = text_of(datetime(2026, 3, 8, 14, 30, tzinfo=UTC), ZoneInfo(ZONE))
    assert "Sunday, 08 March 2026 at 10:30 (America/New_York)" in text
