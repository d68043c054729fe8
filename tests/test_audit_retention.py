"""Bodies may go after six years, by an act that is itself in the log; every proof of what remains still holds."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from core.clock import now
from core.database import Database
from core.errors import Conflict, Invalid, Locked
from core.ids import new_id
from core.transparency.book import Book
from core.transparency.notes import Key
from records.audit import inspection, tree
from records.audit.event import Act, Event
from records.audit.log_key import VERIFIER_KEY
from records.audit.retention import prune
from records.audit.sealer import BOOK
from records.audit.verifier.findings import Kind, Report, Verdict
from tests.clinics import keyring
from tests.sealing import as_superuser, drain, event, event_at, role, seal, store


def long_ago(month: int) -> Event:
    at = datetime(2019, month, 5, tzinfo=UTC)
    return event_at(at)


async def filled(url: str, home: Path) -> list[Event]:
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT audit.add_partitions('2019-01-01Z', '2019-06-01Z')")
    await connection.close()
    events = [long_ago(1), long_ago(2), event(), event()]
    await store(url, *events)
    await seal(url, home)
    return events


async def pruned(url: str, home: Path, before: date) -> list[str]:
    """Prune, while something does the work of relay, worker and sealer."""

    async def carry() -> None:
        while True:
            await asyncio.sleep(0.2)
            await drain(url)
            await seal(url, home)

    owner = Database(url, size=2)
    await owner.open()
    carrying = asyncio.create_task(carry())
    try:
        return await prune(owner, keyring(home), before)
    finally:
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)
        await owner.close()


async def verified(url: str, home: Path) -> Report:
    key = Key.parse((home / VERIFIER_KEY).read_text())
    async with role(url, inspection.ROLE) as database:
        return await inspection.inspect(database, key, Book(home / BOOK))


async def test_nothing_younger_than_six_years_is_pruned(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path)
    with pytest.raises(Invalid, match="six years"):
        await pruned(database_url, tmp_path, (now() - timedelta(days=5 * 365)).date())


async def test_what_is_pruned_is_said_and_what_remains_is_proved(database_url: str, tmp_path: Path):
    events = await filled(database_url, tmp_path)
    assert await pruned(database_url, tmp_path, date(2019, 2, 20)) == ["event_2019_01"]
    report = await verified(database_url, tmp_path)
    assert (report.verdict, report.pruned, report.size) == (Verdict.GOOD, 1, 5)
    key = Key.parse((tmp_path / VERIFIER_KEY).read_text())
    async with role(database_url, inspection.ROLE) as database:
        for kept in events[1:]:
            assert (await tree.proof_of(database, kept.id)).holds(kept.body(), key)


async def test_a_pruning_covers_no_other_loss(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path)
    await pruned(database_url, tmp_path, date(2019, 2, 20))
    await as_superuser(
        database_url,
        "DELETE FROM audit.event WHERE id IN (SELECT id FROM audit.event ORDER BY id LIMIT 2)",
    )
    report = await verified(database_url, tmp_path)
    assert [f.index for f in report.findings if f.kind is Kind.EVENT] == [1, 2]


async def test_an_announcement_of_an_early_pruning_covers_nothing(
    database_url: str, tmp_path: Path
):
    (victim, *_) = await filled(database_url, tmp_path)
    reason = f"before {now():%Y-%m-%d}"
    await store(database_url, event(action=Act.PRUNE, reason=reason))
    await seal(database_url, tmp_path)
    await as_superuser(database_url, f"DELETE FROM audit.event WHERE id = '{victim.id}'")
    assert (await verified(database_url, tmp_path)).verdict is Verdict.TAMPERED


async def test_events_that_are_not_sealed_are_not_pruned(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path)
    await store(database_url, long_ago(1))
    owner = Database(database_url, size=2)
    await owner.open()
    with pytest.raises(Conflict, match="not sealed"):
        await prune(owner, keyring(tmp_path), date(2019, 2, 20))
    await owner.close()


async def test_a_legal_hold_keeps_the_months_of_its_patient_under_any_id(
    database_url: str, tmp_path: Path
):
    patient, other = new_id(), new_id()
    await filled(database_url, tmp_path)
    await store(database_url, replace(long_ago(1), patient=patient))
    await seal(database_url, tmp_path)
    hold = f"VALUES ('{new_id()}', '{patient}', 'C-1', '{new_id()}', now())"
    unchecked = "SET session_replication_role = replica"  # no such patient has to exist
    await as_superuser(
        database_url,
        unchecked,
        f"INSERT INTO legal_hold (id, patient_id, reference, placed_by, placed_at) {hold}",
    )
    with pytest.raises(Locked):
        await pruned(database_url, tmp_path, date(2019, 2, 20))
    await as_superuser(
        database_url,
        unchecked,
        f"UPDATE legal_hold SET patient_id = '{other}'",
        f"INSERT INTO same_person (patient_id, other_id) VALUES ('{other}', '{patient}')",
    )
    with pytest.raises(Locked):
        await pruned(database_url, tmp_path, date(2019, 2, 20))
    await as_superuser(database_url, "UPDATE legal_hold SET lifted_at = now()")
    assert await pruned(database_url, tmp_path, date(2019, 2, 20)) == ["event_2019_01"]
