"""No event vanishes on its way unseen: each producer counts, and a number that is missing is missed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from core.broker import DEAD, celery_app, declare
from core.clock import now
from core.database import before_commit
from core.ids import new_id
from core.settings import settings
from records.audit.batch import TASK, pack
from records.audit.event import Event, Stamp
from records.audit.ledger import ROLE as LEDGER
from records.audit.ledger import store
from records.audit.numbers import Numbers, reconcile
from records.audit.troubles import gauges
from records.clinic import Clinic
from tests.clinics import keyring, open_clinic, outbox
from tests.sealing import drain, event, role, sealed


@pytest.fixture
async def clinic(database_url: str, tmp_path: Path) -> AsyncIterator[Clinic]:
    async with open_clinic(database_url, tmp_path) as clinic:
        yield clinic


async def test_a_process_counts_its_events_from_zero_without_a_gap(
    clinic: Clinic, database_url: str
):
    await asyncio.gather(*(clinic.trail.note(event(), event()) for _ in range(5)))
    async with clinic.database.transaction() as session:
        await clinic.trail.note_within(session, event())
    found = await outbox(database_url)
    assert {e["boot"] for e in found} == {found[0]["boot"]}
    assert sorted(e["seq"] for e in found) == list(range(11))


async def test_a_body_that_cannot_be_made_uses_up_no_number():
    numbers = Numbers(new_id())
    with pytest.raises(ValueError, match="too many"):
        numbers.stamped([event(), event(reason="x" * 9000)])
    assert [n for _, n, _ in numbers.stamped([event()])] == [0]


async def test_the_number_of_a_write_that_rolled_back_is_declared_void(
    clinic: Clinic, database_url: str
):
    async def fail() -> None:
        async with clinic.database.transaction() as session:
            await clinic.trail.note_within(session, event())
            before_commit(session, lost)

    async def lost() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await fail()
    await clinic.trail.note(event())
    await clinic.trail.stop()
    found = {e["seq"]: e for e in await outbox(database_url)}
    assert sorted(found) == [1, 2]
    assert (found[2]["action"], found[2]["reason"]) == ("void", "0")


async def test_a_write_that_rolls_back_before_its_event_is_written_uses_up_no_number(
    clinic: Clinic, database_url: str
):
    with pytest.raises(LookupError):
        async with clinic.database.transaction() as session:
            await clinic.trail.note_within(session, event())
            raise LookupError
    await clinic.trail.note(event())
    assert [e["seq"] for e in await outbox(database_url)] == [0]


async def gaps(url: str) -> list[tuple[int, int, bool]]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT first, last, closed_at FROM audit.gap ORDER BY first")
    await connection.close()
    return [(r["first"], r["last"], r["closed_at"] is None) for r in rows]


async def put(url: str, numbers: Numbers, *pairs: tuple[int, Event]) -> None:
    async with role(url, LEDGER) as database:
        await store(database, [e.body(Stamp(numbers.boot, n)) for n, e in pairs])


async def test_a_number_missing_for_a_minute_is_a_gap_until_it_turns_up(
    clinic: Clinic, database_url: str
):
    numbers, old = Numbers(new_id()), now() - timedelta(seconds=70)
    late = event(occurred_at=old)
    await put(database_url, numbers, *((n, event(occurred_at=old)) for n in (1, 2, 5)))
    await put(database_url, numbers, (7, event()))
    await reconcile(clinic.database)
    assert await gaps(database_url) == [(0, 0, True), (3, 4, True)]
    assert (await gauges(clinic.database))["missing"] == 3
    await put(database_url, numbers, (0, late))
    await reconcile(clinic.database)
    assert await gaps(database_url) == [(0, 0, False), (3, 4, True)]


async def test_what_waits_in_the_outbox_or_is_void_is_not_missing(
    clinic: Clinic, database_url: str
):
    old = now() - timedelta(seconds=70)
    await clinic.trail.note(event())
    waiting = (await outbox(database_url))[0]
    numbers = Numbers(boot=waiting["boot"])
    void = event(occurred_at=old, action="void", reason="1 2")
    await put(database_url, numbers, (3, void))
    await reconcile(clinic.database)
    assert await gaps(database_url) == []
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM audit.outbox")  # what a superuser can do
    await connection.close()
    await reconcile(clinic.database)
    assert await gaps(database_url) == [(0, 0, True)]


async def test_a_process_without_losses_has_no_gap(clinic: Clinic, database_url: str):
    for _ in range(3):
        await clinic.trail.note(event(occurred_at=now() - timedelta(seconds=90)))
    await drain(database_url)
    await reconcile(clinic.database)
    assert await gaps(database_url) == []


async def test_dead_letters_are_stored_after_all(
    database_url: str, broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from core.desk import desk
    from records.audit.tasks import revive

    keys, app = keyring(tmp_path), celery_app(broker, tmp_path)
    (made,) = await sealed(database_url, keys, event())
    for name, value in (("HOME", tmp_path), ("DATABASE_URL", database_url)):
        monkeypatch.setenv(f"CONFIDE_{name}", str(value))
    declare(app)
    for arguments in (pack(keys, [made]), ([["no event"]], "00")):
        app.send_task(TASK, args=arguments, queue=DEAD, argsrepr="-", kwargsrepr="-")
    settings.cache_clear(), desk.cache_clear()
    app.set_default()
    try:
        await asyncio.to_thread(revive)
        here = desk(LEDGER)
        await asyncio.to_thread(lambda: here.run(here.database.close()))
        here.loop.close()
    finally:
        settings.cache_clear(), desk.cache_clear()
    connection = await asyncpg.connect(database_url)
    stored = await connection.fetchval("SELECT body FROM audit.event")
    refused = await connection.fetchval("SELECT count(*) FROM audit.quarantine")
    await connection.close()
    assert stored == made.body
    assert refused == 1
