"""The sealer signs a log that only grows, and refuses one that does not continue what it has signed."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from time import monotonic

import asyncpg
import pytest

from core.clock import now
from core.settings import Settings
from core.transparency.book import Book
from core.transparency.merkle import Growth, leaf_hash, verify_consistency
from core.transparency.notes import Checkpoint, Key, Note
from core.transparency.proofs import Proof
from records.audit.log_key import VERIFIER_KEY
from records.audit.sealer import BOOK, Rewritten, serve_sealer
from tests.apis import Api, serve
from tests.clinics import keyring
from tests.pipelines import Pipeline
from tests.sealing import as_superuser, drain, event, filled, seal, store, unbundled


def heads(home: Path) -> list[Checkpoint]:
    return [Checkpoint.parse(Note.parse(note).text) for note in Book(home / BOOK)]


def key(home: Path) -> Key:
    return Key.parse((home / VERIFIER_KEY).read_text())


async def test_each_event_gets_one_place_and_the_root_is_signed(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path, 3, 300, 1)
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        "SELECT leaf_index, leaf_hash, body FROM audit.leaf JOIN audit.event ON event_id = id"
        " ORDER BY leaf_index"
    )
    assert await connection.fetchval("SELECT count(*) FROM audit.unsealed") == 0
    await connection.close()
    tree = Growth()
    for row in rows:
        assert row["leaf_hash"] == leaf_hash(row["body"])
        list(tree.add(row["leaf_hash"]))
    assert [row["leaf_index"] for row in rows] == list(range(304))
    last = Note.parse(Book(tmp_path / BOOK).last() or "")
    assert last.signed_by(key(tmp_path))
    assert Checkpoint.parse(last.text) == Checkpoint(key(tmp_path).name, 304, tree.root())


async def test_silence_is_signed_anew_each_minute_and_not_sooner(database_url: str, tmp_path: Path):
    at = now()
    await store(database_url, event())
    for seconds in (0, 30, 59, 60, 100, 125):
        await seal(database_url, tmp_path, clock=lambda s=seconds: at + timedelta(seconds=s))
    notes = [Note.parse(note) for note in Book(tmp_path / BOOK)]
    cosigner = Key(key(tmp_path).name, 4, key(tmp_path).public)
    times = [note.time_of(cosigner) for note in notes]
    assert [t - int(at.timestamp()) for t in times if t] == [0, 60, 125]
    assert {note.text for note in notes} == {notes[0].text}


@pytest.mark.parametrize(
    ("attack", "why"),
    [
        (
            "DELETE FROM audit.leaf WHERE leaf_index >= 3; DELETE FROM audit.checkpoint WHERE size > 3",
            "longer once",
        ),
        (
            "UPDATE audit.leaf SET leaf_hash = sha256('x') WHERE leaf_index = 1",
            "not what was signed",
        ),
        ("DELETE FROM audit.leaf WHERE leaf_index = 1", "missing"),
        ("DELETE FROM audit.checkpoint WHERE size > 3", "nobody signed"),
    ],
)
async def test_a_log_that_does_not_continue_what_was_signed_is_not_signed(
    database_url: str, tmp_path: Path, attack: str, why: str
):
    await filled(database_url, tmp_path, 3, 2)
    await as_superuser(database_url, attack)
    await store(database_url, event())
    with pytest.raises(Rewritten, match=why):
        await seal(database_url, tmp_path)
    assert [head.size for head in heads(tmp_path)] == [3, 5]


async def test_another_key_does_not_go_on_with_a_log(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path, 2)
    (tmp_path / "other").mkdir()
    with pytest.raises(Rewritten, match="another key"):
        await seal(database_url, tmp_path / "other")


async def test_the_book_survives_a_torn_line(tmp_path: Path):
    book = Book(tmp_path / "book")
    book.append("one")
    with book.path.open("a") as file:
        file.write('"tw')
    assert book.last() == "one"
    book.append("three")
    assert list(book) == ["one", "three"]
    assert book.last() == "three"


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def test_before_the_first_seal_there_is_no_checkpoint(api: Api):
    assert (await api.get(api.people.compliance, "/v1/audit/checkpoint")).status_code == 404


async def test_the_log_is_for_compliance_alone(api: Api, database_url: str, tmp_path: Path):
    await drain(database_url)
    await seal(database_url, tmp_path)
    for path in ("checkpoint", "consistency?old=1", "tile/0/000.p/1", "tile/entries/000.p/1"):
        for who in (api.people.adams, api.people.admin, api.people.patient):
            assert (await api.get(who, f"/v1/audit/{path}")).status_code == 403, path


async def test_every_event_is_proved_to_be_in_the_log(api: Api, database_url: str, tmp_path: Path):
    await drain(database_url)
    await seal(database_url, tmp_path)
    me = api.people.compliance
    note = (await api.get(me, "/v1/audit/checkpoint")).text
    assert Note.parse(note).signed_by(key(tmp_path))
    size = Checkpoint.parse(Note.parse(note).text).size
    bundle = (await api.get(me, f"/v1/audit/tile/entries/000.p/{size}")).content
    tile = (await api.get(me, f"/v1/audit/tile/0/000.p/{size}")).content
    assert tile == b"".join(map(leaf_hash, unbundled(bundle)))
    for index, body in enumerate(unbundled(bundle)):
        found = (await api.get(me, f"/v1/audit/events/{_id(body)}/proof")).text
        assert Proof.parse(found).index == index
        assert Proof.parse(found).holds(body, key(tmp_path))


def _id(body: bytes) -> str:
    import orjson

    return str(orjson.loads(body)["id"])


async def test_growth_is_proved_between_any_two_sizes(api: Api, database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path, 3, 258)
    me = api.people.compliance
    found = (await api.get(me, "/v1/audit/consistency?old=3")).json()
    decoded = [base64.b64decode(found[name]) for name in ("old_root", "new_root")]
    assert verify_consistency(3, 261, *decoded, [base64.b64decode(h) for h in found["proof"]])
    assert decoded == [head.root for head in heads(tmp_path)]
    upper = (await api.get(me, "/v1/audit/tile/1/000.p/1")).content
    assert len(upper) == 32
    for query in ("old=0", "old=4&new=3", "old=1&new=262"):
        assert (await api.get(me, f"/v1/audit/consistency?{query}")).status_code == 400
    for path in (
        "0/000.p/257",
        "0/000.p/00",
        "0/001.p/6",
        "1/000.p/2",
        "0/x/0",
        "entries/001.p/9",
    ):
        assert (await api.get(me, f"/v1/audit/tile/{path}")).status_code == 404


async def test_an_unsealed_event_has_no_proof_yet(api: Api, database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path, 1)
    late = event()
    await store(database_url, late)
    answer = await api.get(api.people.compliance, f"/v1/audit/events/{late.id}/proof")
    assert answer.status_code == 404


async def test_events_are_sealed_within_five_seconds_by_the_real_process(
    database_url: str, tmp_path: Path
):
    keyring(tmp_path)
    line = Pipeline(database_url, "memory://", tmp_path)
    line.start("sealer")
    try:
        deadline = monotonic() + 30
        while not heads(tmp_path):
            assert monotonic() < deadline
            await asyncio.sleep(0.1)
        began = monotonic()
        await store(database_url, event(), event())
        while heads(tmp_path)[-1].size < 2:
            assert monotonic() - began < 5
            await asyncio.sleep(0.05)
    finally:
        line.family.stop("sealer")


async def test_the_process_ends_and_says_why_when_it_refuses(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path, 3)
    await as_superuser(database_url, "DELETE FROM audit.leaf WHERE leaf_index = 1")
    chosen = Settings(home=tmp_path, environment="development", database_url=database_url)
    with pytest.raises(SystemExit):
        await serve_sealer(chosen)
    assert len(heads(tmp_path)) == 1
