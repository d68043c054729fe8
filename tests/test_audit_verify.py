"""Whoever has all of the database cannot change the log unseen, and a log that nobody touched is never accused."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from core.crypto.ed25519 import new_seed
from core.database import Database
from core.transparency.book import Book
from core.transparency.merkle import Growth, leaf_hash
from core.transparency.notes import Checkpoint, Key, Note, Signer, sealed_note
from records.audit import inspection, tree
from records.audit.log_key import KEY, VERIFIER_KEY, open_signer
from records.audit.producers import Producers
from records.audit.sealer import BOOK
from records.audit.verifier import bundle
from records.audit.verifier.findings import Kind, Report, Verdict
from records.audit.verifier.witness import Refused, cosign
from tests.clinics import keyring, outbox
from tests.sealing import ISSUER, as_superuser, event, filled, made, role, seal, store
from tests.servers import CHECKOUT

WITNESS = Signer("elsewhere.example/witness", new_seed())
LOG = Signer("clinic.example/audit", new_seed())


def log_key(home: Path) -> Key:
    return Key.parse((home / VERIFIER_KEY).read_text())


async def verified(url: str, home: Path, *, witnessed: bool = False) -> Report:
    seen = Book(home / "witness") if witnessed else ()
    async with role(url, inspection.ROLE) as database:
        book = Book(home / BOOK)
        return await inspection.inspect(database, log_key(home), book, seen, WITNESS.cosigner)


async def witness(url: str, home: Path) -> None:
    async with role(url, inspection.ROLE) as database:
        note = await tree.newest_checkpoint(database)
        book = Book(home / "witness")
        last = book.last()
        proof = await _proof(database, last, note)
        cosign(book, WITNESS, log_key(home), note, lambda _old, _new: proof, 1_700_000_000)


async def _proof(database: Database, last: str | None, note: str) -> list[bytes]:
    old = Checkpoint.parse(Note.parse(last).text).size if last else 0
    new = Checkpoint.parse(Note.parse(note).text).size
    if not 0 < old < new:
        return []
    return (await tree.consistency(database, old, new))["proof"]


def event_at(index: int) -> str:
    return f"id IN (SELECT event_id FROM audit.leaf WHERE leaf_index = {index})"


FORGED = """replace(convert_from(body, 'UTF8'), '"read"', '"sign"')::bytea"""
EVENTS_FROM_5 = (
    "DELETE FROM audit.event WHERE id IN (SELECT event_id FROM audit.leaf WHERE leaf_index >= 5)"
)
LEAVES_FROM_5 = "DELETE FROM audit.leaf WHERE leaf_index >= 5"

ATTACKS = {
    "edit a body": ([f"UPDATE audit.event SET body = {FORGED} WHERE {event_at(4)}"], Kind.BODY, 4),
    "edit a body and its leaf": (
        [
            f"UPDATE audit.event SET body = {FORGED}, action = 'sign' WHERE {event_at(6)}",
            "UPDATE audit.leaf SET leaf_hash = sha256('\\x00' || body) FROM audit.event WHERE leaf_index = 6 AND id = event_id",
        ],
        Kind.ROOT,
        5,
    ),
    "say another did it": (
        [f"UPDATE audit.event SET actor = gen_random_uuid() WHERE {event_at(2)}"],
        Kind.COLUMN,
        2,
    ),
    "say it was refused": (
        [f"UPDATE audit.event SET outcome = 'deny' WHERE {event_at(6)}"],
        Kind.COLUMN,
        6,
    ),
    "delete an event": ([f"DELETE FROM audit.event WHERE {event_at(3)}"], Kind.EVENT, 3),
    "delete an event and its leaf": (
        [
            f"DELETE FROM audit.event WHERE {event_at(3)}",
            "DELETE FROM audit.leaf WHERE leaf_index = 3",
        ],
        Kind.LEAF,
        3,
    ),
    "give a leaf another event": (
        ["UPDATE audit.leaf SET event_id = gen_random_uuid() WHERE leaf_index = 1"],
        Kind.EVENT,
        1,
    ),
    "cut the tail": ([EVENTS_FROM_5, LEAVES_FROM_5], Kind.SHORTER, 5),
    "cut the tail and its checkpoints": (
        [EVENTS_FROM_5, LEAVES_FROM_5, "DELETE FROM audit.checkpoint WHERE size > 5"],
        Kind.SHORTER,
        5,
    ),
    "rebuild the tiles": (["UPDATE audit.tree_node SET hash = sha256('x')"], Kind.TILE, 0),
    "remove the tiles": (["DELETE FROM audit.tree_node"], Kind.TILE, 0),
    "edit a checkpoint": (
        ["UPDATE audit.checkpoint SET note = replace(note, 'confide', 'another') WHERE size = 5"],
        Kind.SIGNATURE,
        None,
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_on_the_ledger_is_found_with_its_place_and_kind(
    database_url: str, tmp_path: Path, attack: str
):
    statements, kind, index = ATTACKS[attack]
    await filled(database_url, tmp_path, 5, 260)
    await as_superuser(database_url, *statements)
    report = await verified(database_url, tmp_path)
    assert report.verdict is Verdict.TAMPERED
    first = report.first()
    assert first
    assert first.kind is kind
    assert index is None or first.index == index


async def test_a_stolen_key_signs_a_new_log_and_the_witness_sees_it(
    database_url: str, tmp_path: Path
):
    await filled(database_url, tmp_path, 4, 3)
    await witness(database_url, tmp_path)
    await as_superuser(
        database_url,
        "DELETE FROM audit.event WHERE id = (SELECT event_id FROM audit.leaf WHERE leaf_index = 2)",
        "DELETE FROM audit.leaf; DELETE FROM audit.tree_node; DELETE FROM audit.checkpoint",
        "INSERT INTO audit.unsealed SELECT id, now() FROM audit.event",
    )
    (tmp_path / BOOK).unlink()
    await store(database_url, event(), event())
    await seal(database_url, tmp_path)
    assert (await verified(database_url, tmp_path)).verdict is Verdict.GOOD
    report = await verified(database_url, tmp_path, witnessed=True)
    assert (report.verdict, report.findings[0].kind) == (Verdict.TAMPERED, Kind.ROOT)
    assert report.findings[0].about == "witness"
    with pytest.raises(Refused, match="not what they were"):
        await witness(database_url, tmp_path)


async def test_a_restored_older_state_is_seen_by_the_witness(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path, 4)
    old_book = (tmp_path / BOOK).read_bytes()
    await filled(database_url, tmp_path, 3)
    await witness(database_url, tmp_path)
    await as_superuser(
        database_url,
        "DELETE FROM audit.event WHERE id IN (SELECT event_id FROM audit.leaf WHERE leaf_index > 3)",
        "DELETE FROM audit.leaf WHERE leaf_index > 3; DELETE FROM audit.checkpoint WHERE size > 4",
    )
    (tmp_path / BOOK).write_bytes(old_book)
    report = await verified(database_url, tmp_path, witnessed=True)
    assert (report.findings[0].kind, report.findings[0].index) == (Kind.SHORTER, 4)
    with pytest.raises(Refused, match="had 7 events and now has 4"):
        await witness(database_url, tmp_path)


async def test_a_witness_vouches_for_no_other_key(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path, 1)
    async with role(database_url, inspection.ROLE) as database:
        note = await tree.newest_checkpoint(database)
    stranger = Signer(log_key(tmp_path).name, new_seed())
    with pytest.raises(Refused, match="not signed"):
        cosign(Book(tmp_path / "w"), WITNESS, stranger.key, note, lambda _o, _n: [], 1)


async def test_an_event_slipped_past_the_sealer_is_found(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path, 2)
    slipped = event()
    await store(database_url, slipped)
    await as_superuser(database_url, "DELETE FROM audit.unsealed")
    report = await verified(database_url, tmp_path)
    assert (report.verdict, report.findings[0].kind) == (Verdict.TAMPERED, Kind.UNLOGGED)
    assert report.findings[0].about == str(slipped.id)


async def test_an_event_deleted_before_its_seal_is_found(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path, 2)
    await store(database_url, event())
    await as_superuser(
        database_url, "DELETE FROM audit.event WHERE id IN (SELECT event_id FROM audit.unsealed)"
    )
    report = await verified(database_url, tmp_path)
    assert (report.verdict, report.findings[0].kind) == (Verdict.TAMPERED, Kind.EVENT)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE audit.unsealed SET since = now() - interval '2 minutes'", Kind.UNSEALED),
        ("""INSERT INTO audit.outbox (event_id, body, seal, created_at)
         VALUES (gen_random_uuid(), '{}', sha256(''), now() - interval '2 minutes')""",
         Kind.WAITING),
    ],
)  # fmt: skip
async def test_what_has_not_arrived_after_a_minute_makes_the_log_incomplete(
    database_url: str, tmp_path: Path, statement: str, kind: Kind
):
    await filled(database_url, tmp_path, 2)
    await store(database_url, event())
    await as_superuser(database_url, statement)
    report = await verified(database_url, tmp_path)
    assert (report.verdict, report.findings[0].kind) == (Verdict.INCOMPLETE, kind)


async def test_a_clean_log_is_never_accused(database_url: str, tmp_path: Path):
    for sizes in ((1,), (1, 254), (1, 3), (257, 2)):
        await filled(database_url, tmp_path, *sizes)
        await witness(database_url, tmp_path)
        await store(database_url, event())
        report = await verified(database_url, tmp_path, witnessed=True)
        assert (report.verdict, report.count) == (Verdict.GOOD, 0)
    assert report.size == 1 + 255 + 4 + 259 + 3  # those between the batches were sealed as well


async def bundled(url: str, home: Path) -> Path:
    async with role(url, inspection.ROLE) as database:
        await inspection.export(database, keyring(home), log_key(home), home / "log.tar")
    return home / "log.tar"


async def test_a_bundle_is_verified_offline_and_a_changed_one_is_found(
    database_url: str, tmp_path: Path
):
    await filled(database_url, tmp_path, 3, 4)
    path = await bundled(database_url, tmp_path)
    assert [e["action"] for e in await outbox(database_url)] == ["export"]
    assert bundle.verify(path).verdict is Verdict.GOOD
    assert bundle.verify(path, Signer("x", new_seed()).key).verdict is Verdict.TAMPERED
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b'\\"action\\":\\"read\\"', b'\\"action\\":\\"sign\\"', 1))
    first = bundle.verify(path).first()
    assert first
    assert (first.kind, first.index) == (Kind.BODY, 0)


async def test_a_file_that_is_no_bundle_is_told_so(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"no tar")
    with pytest.raises(bundle.NoBundle):
        bundle.verify(tmp_path / "x")


@pytest.mark.parametrize("seal_of", ["NULL", "seal"])
async def test_an_event_that_a_superuser_puts_into_the_ledger_is_found_though_it_is_sealed(
    database_url: str, tmp_path: Path, seal_of: str
):
    keys, forged = keyring(tmp_path), event()
    await made(database_url, keys, event(), event())
    await seal(database_url, tmp_path)
    text = f"convert_from(body, 'UTF8')::jsonb || jsonb_build_object('id', '{forged.id}', 'seq', 2)"
    await as_superuser(
        database_url,
        f"""INSERT INTO audit.event SELECT '{forged.id}', occurred_at, now(), actor, action, outcome, purpose,
            patient, resource_type, resource_ids, break_glass, convert_to(({text})::text, 'UTF8'), request_id, boot,
            2, {seal_of} FROM audit.event WHERE seq = 1""",
        f"INSERT INTO audit.unsealed VALUES ('{forged.id}', now())",
    )
    assert await seal(database_url, tmp_path) == 1
    async with role(database_url, inspection.ROLE) as database:
        its = database, log_key(tmp_path), Book(tmp_path / BOOK)
        assert (await inspection.inspect(*its)).verdict is Verdict.GOOD
        report = await inspection.inspect(*its, known=Producers(keys))
    assert [(f.kind, f.index) for f in report.findings] == [(Kind.FORGED, 2)]


async def test_a_log_that_began_before_seals_were_kept_is_incomplete_and_not_forged(
    database_url: str, tmp_path: Path
):
    keys = keyring(tmp_path)
    await made(database_url, keys, event(), event())
    await as_superuser(database_url, "UPDATE audit.event SET seal = NULL")
    await made(database_url, keys, event())
    await seal(database_url, tmp_path)
    async with role(database_url, inspection.ROLE) as database:
        its = database, log_key(tmp_path), Book(tmp_path / BOOK)
        report = await inspection.inspect(*its, known=Producers(keys))
    assert [(f.kind, f.index) for f in report.findings] == [(Kind.UNKEPT, 1)]
    assert report.verdict is Verdict.INCOMPLETE


async def test_what_is_signed_while_the_log_is_looked_through_is_not_missed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await filled(database_url, tmp_path, 3)
    book, signer = Book(tmp_path / BOOK), open_signer(tmp_path, ISSUER)
    later = sealed_note(signer, str(Checkpoint(signer.name, 4, b"r" * 32)), 1)
    usual = inspection.Examination.signed

    def meanwhile(self: Any, notes: Any, source: str, *more: Any) -> None:
        if source == "database":
            book.append(later)
        usual(self, notes, source, *more)

    monkeypatch.setattr(inspection.Examination, "signed", meanwhile)
    async with role(database_url, inspection.ROLE) as database:
        report = await inspection.inspect(database, log_key(tmp_path), book)
    assert report.verdict is Verdict.GOOD


async def test_the_commands_tell_by_their_exit_codes(database_url: str, tmp_path: Path):
    await made(database_url, keyring(tmp_path), event(), event(), event())
    await seal(database_url, tmp_path)
    environment = {"CONFIDE_HOME": str(tmp_path), "CONFIDE_DATABASE_URL": database_url}

    def confide(*argv: str, module: str = "api.cli") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *argv]
        return subprocess.run(
            command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False
        )

    assert confide("audit", "witness").returncode == 0
    good = confide("audit", "verify", "--json")
    assert (good.returncode, json.loads(good.stdout)["result"]) == (0, "good")
    assert confide("audit", "export-bundle", str(tmp_path / "b.tar")).returncode == 0
    alone = confide(str(tmp_path / "b.tar"), module="records.audit.verifier")
    assert (alone.returncode, json.loads(alone.stdout)["size"]) == (0, 3)
    (tmp_path / "torn.tar").write_bytes((tmp_path / "b.tar").read_bytes()[:700])
    for argv in (["audit", "verify", "torn.tar"], ["audit", "verify", "--vkey", "none"]):
        unread = confide(*[str(tmp_path / a) if "." in a else a for a in argv])
        assert (unread.returncode, "not examined" in unread.stderr) == (2, True)
    alone = confide(str(tmp_path / "torn.tar"), module="records.audit.verifier")
    assert (alone.returncode, "not examined" in alone.stderr) == (2, True)
    await as_superuser(database_url, "DELETE FROM audit.event")
    bad = confide("audit", "verify", "--json")
    told = json.loads(bad.stdout)
    assert (bad.returncode, told["first_bad_index"], told["kind"]) == (1, 0, "event-missing")
    assert (tmp_path / KEY).stat().st_mode & 0o077 == 0


def some(home: Path, change: Callable[[list[dict[str, Any]]], object] = len) -> Path:
    """Write two events out of three, with their proofs, as a bundle in which somebody has changed its lines."""
    bodies = [event().body() for _ in range(3)]
    hashes, tree_, lines = [leaf_hash(b) for b in bodies], Growth(), []
    for hash_ in hashes:
        assert list(tree_.add(hash_))
    for index in (0, 1):
        proof = [hashes[1 - index], hashes[2]]
        event_id = json.loads(bodies[index])["id"]
        lines.append(json.loads(bundle.line(index, event_id, b"", bodies[index], proof)))
    change(lines)
    head, file = str(Checkpoint(LOG.key.name, 3, tree_.root())), BytesIO()
    file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
    note = head + "\n" + LOG.sign(head)
    with (home / "some.tar").open("wb") as tar:
        key = str(LOG.key)
        bundle.write(tar, key=key, notes=[note], entries=file, whole=False, about={})
    return home / "some.tar"


def exchanged(*names: str) -> Callable[[list[dict[str, Any]]], None]:
    def change(lines: list[dict[str, Any]]) -> None:
        first, second = lines
        for name in names:
            first[name], second[name] = second[name], first[name]

    return change


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (len, set()),
        (exchanged("body"), {Kind.PROOF}),
        (exchanged("body", "index", "proof"), {Kind.COLUMN}),
        (exchanged("event_id"), {Kind.COLUMN}),
        (lambda lines: lines.append(lines[0]), {Kind.DOUBLED}),
        (lambda lines: lines[0].update(body=None), {Kind.PROOF}),
    ],
)
def test_events_that_are_some_of_a_log_are_each_the_one_they_are_called(
    tmp_path: Path, change: Callable[..., object], kinds: set[Kind]
):
    report = bundle.verify(some(tmp_path, change), LOG.key)
    assert {finding.kind for finding in report.findings} == kinds


def test_events_that_are_some_of_a_log_stand_under_what_a_witness_has_seen(tmp_path: Path):
    path = some(tmp_path)
    with tarfile.open(path) as tar:
        file = tar.extractfile("checkpoints.ndjson")
        assert file
        (note,) = map(json.loads, file)

    def judged(*seen: str) -> tuple[Verdict, list[Kind]]:
        report = bundle.verify(path, LOG.key, seen, WITNESS.cosigner)
        return report.verdict, [finding.kind for finding in report.findings]

    def cosigned(head: str) -> str:
        return f"{head}\n{LOG.sign(head)}{WITNESS.cosign(head, 1_700_000_000)}"

    same = note + WITNESS.cosign(Note.parse(note).text, 1_700_000_000)
    other = cosigned(str(Checkpoint(LOG.key.name, 3, bytes(32))))
    earlier = cosigned(str(Checkpoint(LOG.key.name, 2, bytes(32))))
    assert judged(same) == (Verdict.GOOD, [])
    assert judged(other) == (Verdict.TAMPERED, [Kind.ROOT])
    assert judged(earlier) == (Verdict.INCOMPLETE, [Kind.UNWITNESSED])
    assert judged(note) == (Verdict.TAMPERED, [Kind.SIGNATURE, Kind.UNWITNESSED])


async def test_a_whole_log_calls_each_event_by_its_name(database_url: str, tmp_path: Path):
    await filled(database_url, tmp_path, 3)
    path = await bundled(database_url, tmp_path)
    raw = path.read_bytes()
    at = raw.index(b'"event_id": "') + len(b'"event_id": "')
    path.write_bytes(raw[:at] + b"0" * 8 + raw[at + 8 :])
    first = bundle.verify(path).first()
    assert first
    assert (first.kind, first.index) == (Kind.COLUMN, 0)
