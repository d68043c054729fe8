"""The log's key changes in the open: one checkpoint is signed by both, and the old key is good for nothing after it."""

import asyncio
from pathlib import Path
from time import monotonic

import asyncpg
import pytest

from core.errors import Conflict
from core.transparency.book import Book
from core.transparency.notes import BadNote, Checkpoint, Key, Note, Signer
from records.audit import inspection, tree
from records.audit.log_key import KEY, RETIRING, VERIFIER_KEY, change_key, new_secret, open_signer
from records.audit.sealer import BOOK, Rewritten
from records.audit.verifier.findings import Kind, Report, Verdict
from tests.clinics import keyring, outbox
from tests.pipelines import Pipeline
from tests.sealing import ISSUER, drain, event, filled, role, seal, store
from tests.servers import confide


def key(home: Path) -> Key:
    return Key.parse((home / VERIFIER_KEY).read_text())


def generations(home: Path) -> list[list[int]]:
    return [Note.parse(note).generations(key(home)) for note in Book(home / BOOK)]


async def verified(url: str, home: Path, trusted: Key | None = None) -> Report:
    async with role(url, inspection.ROLE) as database:
        return await inspection.inspect(database, trusted or key(home), Book(home / BOOK))


async def test_the_checkpoint_of_the_change_is_signed_by_both_keys_and_the_log_goes_on(
    database_url: str, tmp_path: Path
):
    (first, *_) = await filled(database_url, tmp_path, 2, 1)
    old = key(tmp_path)
    change_key(tmp_path, new_secret(tmp_path))
    await seal(database_url, tmp_path)
    assert not (tmp_path / RETIRING).exists()
    await filled(database_url, tmp_path, 2)
    assert generations(tmp_path) == [[1], [1], [0, 1], [0]]
    assert key(tmp_path).former == (old,)
    report = await verified(database_url, tmp_path)
    assert (report.verdict, report.size) == (Verdict.GOOD, 5)
    async with role(database_url, inspection.ROLE) as database:
        assert (await tree.proof_of(database, first.id)).holds(first.body(), key(tmp_path))


async def test_who_knows_the_old_key_alone_follows_up_to_the_change(
    database_url: str, tmp_path: Path
):
    await filled(database_url, tmp_path, 2)
    old = key(tmp_path)
    change_key(tmp_path, new_secret(tmp_path))
    await seal(database_url, tmp_path)
    assert (await verified(database_url, tmp_path, old)).verdict is Verdict.GOOD
    await filled(database_url, tmp_path, 1)
    report = await verified(database_url, tmp_path, old)
    assert (report.verdict, report.findings[0].kind) == (Verdict.TAMPERED, Kind.SIGNATURE)


async def test_a_stolen_old_key_signs_nothing_after_the_change(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path, 2)
    stolen = Signer.parse((tmp_path / KEY).read_text())
    change_key(tmp_path, new_secret(tmp_path))
    await seal(database_url, tmp_path)
    await filled(database_url, tmp_path, 2)
    head = Checkpoint.parse(Note.parse(Book(tmp_path / BOOK).last() or "").text)
    forged = f"{head}\n{stolen.sign(str(head))}"
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO audit.checkpoint VALUES (gen_random_uuid(), $1, $2, now())", head.size, forged
    )
    await connection.close()
    report = await verified(database_url, tmp_path)
    assert (report.verdict, report.findings[0].kind) == (Verdict.TAMPERED, Kind.RETIRED)
    assert report.findings[0].index == head.size


async def test_keys_change_one_at_a_time_and_a_change_that_broke_off_is_begun_anew(
    database_url: str, tmp_path: Path
):
    await filled(database_url, tmp_path, 1)
    (tmp_path / RETIRING).write_text((tmp_path / KEY).read_text())
    (tmp_path / RETIRING).chmod(0o600)
    await filled(database_url, tmp_path, 1)
    for times in (1, 2):
        change_key(tmp_path, new_secret(tmp_path))
        with pytest.raises(Conflict):
            change_key(tmp_path, new_secret(tmp_path))
        await filled(database_url, tmp_path, 1)
        assert len(key(tmp_path).former) == times
    assert generations(tmp_path) == [[2], [2], [1, 2], [0, 1]]
    assert (await verified(database_url, tmp_path)).verdict is Verdict.GOOD


async def test_a_key_that_was_put_in_its_place_does_not_go_on(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path, 2)
    (tmp_path / KEY).unlink()
    (tmp_path / VERIFIER_KEY).unlink()
    open_signer(tmp_path, ISSUER)
    with pytest.raises(Rewritten, match="another key"):
        await seal(database_url, tmp_path)


def test_a_file_of_keys_of_two_names_is_refused():
    one, other = (Signer(name, bytes(32)).key for name in ("a.example/log", "b.example/log"))
    with pytest.raises(BadNote):
        Key.parse(f"{one}\n{other}")


async def test_a_running_sealer_takes_a_new_key_up_and_the_change_is_an_event(
    database_url: str, tmp_path: Path
):
    keyring(tmp_path)
    line = Pipeline(database_url, "memory://", tmp_path)
    line.start("sealer")
    try:
        await until((tmp_path / BOOK).exists)
        done = await asyncio.to_thread(confide, database_url, tmp_path, "audit", "rotate-key")
        assert done.returncode == 0, done.stderr
        noted = [
            e for e in await outbox(database_url) if e["endpoint"] == "confide audit rotate-key"
        ]
        await until(lambda: len(generations(tmp_path)) > 1 and generations(tmp_path)[-1] == [0, 1])
        assert noted[0]["reason"] == f"audit-log {key(tmp_path).id.hex()}"
        await drain(database_url)
        await store(database_url, event())
        await until(lambda: generations(tmp_path)[-1] == [0])
    finally:
        line.family.stop("sealer")
    assert (await verified(database_url, tmp_path)).verdict is Verdict.GOOD


async def until(true: object) -> None:
    deadline = monotonic() + 30
    while not true():  # type: ignore[operator]
        assert monotonic() < deadline
        await asyncio.sleep(0.1)
