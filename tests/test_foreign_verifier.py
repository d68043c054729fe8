"""Go's own transparency-log packages, which nobody here wrote, accept our checkpoints and proofs, and refuse changed ones."""

import json
import os
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from core.crypto.ed25519 import new_seed
from core.transparency.book import Book
from core.transparency.notes import Checkpoint, Note, Signer
from records.audit import inspection, tree
from records.audit.log_key import VERIFIER_KEY, change_key, new_secret
from records.audit.sealer import BOOK
from tests.sealing import filled, role, seal
from tests.servers import CHECKOUT

DEBIAN = Path("/usr/share/gocode")
PACKAGES = DEBIAN / "src/golang.org/x/mod/sumdb/tlog"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier, built against Debian's golang-golang-x-mod-dev."""
    go = shutil.which("go")
    if go is None or not PACKAGES.exists():
        reason = "needs Debian's golang-go and golang-golang-x-mod-dev"
        if os.environ.get("CI") == "true" and os.geteuid() == 0 and shutil.which("apt-get"):
            pytest.fail(f"{reason}, which CI installs")
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("go")
    environment = {"GO111MODULE": "off", "GOPATH": str(DEBIAN), "GOCACHE": str(folder / "cache")}
    source = CHECKOUT / "tests" / "foreign" / "verify.go"
    subprocess.run(
        [go, "build", "-o", folder / "verify", source],
        env={**os.environ, **environment},
        check=True,
    )
    return folder / "verify"


def judged(program: Path, questions: list[dict[str, Any]]) -> list[str]:
    lines = "".join(json.dumps(q) + "\n" for q in questions)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def base64(hashes: list[bytes]) -> list[str]:
    return [b64encode(h).decode() for h in hashes]


async def questions(url: str, home: Path, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return what there is to ask about a log: each checkpoint, each event, each step of growth."""
    events = await filled(url, home, *sizes)
    keys, notes = [(home / VERIFIER_KEY).read_text().strip()], list(Book(home / BOOK))
    asked: list[dict[str, Any]] = [{"keys": keys, "note": note} for note in notes]
    async with role(url, inspection.ROLE) as database:
        for event in events:
            proof = await tree.proof_of(database, event.id)
            asked.append(
                {"keys": keys, "note": proof.checkpoint, "index": proof.index,
                 "entry": event.body().decode(), "proof": base64(list(proof.hashes))}
            )  # fmt: skip
        for old, new in [(a, b) for i, a in enumerate(notes) for b in notes[i + 1 :]]:
            before, after = (Checkpoint.parse(Note.parse(n).text).size for n in (old, new))
            found = await tree.consistency(database, before, after)
            asked.append({"keys": keys, "note": new, "old": old, "proof": base64(found["proof"])})
    return asked


async def test_a_foreign_verifier_accepts_what_the_log_says_of_itself(
    foreign: Path, database_url: str, tmp_path: Path
):
    asked = await questions(database_url, tmp_path, (1, 6, 1, 250, 9))
    assert judged(foreign, asked) == ["good"] * (5 + 267 + 10)


async def test_a_foreign_verifier_follows_a_change_of_the_logs_key(
    foreign: Path, database_url: str, tmp_path: Path
):
    await filled(database_url, tmp_path, 3)
    old = (tmp_path / VERIFIER_KEY).read_text().strip()
    change_key(tmp_path, new_secret(tmp_path))
    await seal(database_url, tmp_path)
    await filled(database_url, tmp_path, 2)
    new, _ = (tmp_path / VERIFIER_KEY).read_text().split()
    notes = list(Book(tmp_path / BOOK))
    asked = [{"keys": [key], "note": note} for key in (old, new) for note in notes]
    told = [answer == "good" for answer in judged(foreign, asked)]
    assert told == [True, True, False, False, True, True]


async def test_a_foreign_verifier_refuses_whatever_is_changed(
    foreign: Path, database_url: str, tmp_path: Path
):
    asked = await questions(database_url, tmp_path, (3, 5))
    stranger = Signer("clinic.example/confide-audit", new_seed())
    note, event, grown = asked[0], asked[4], asked[-1]
    changed = [
        note | {"note": note["note"].replace("\n3\n", "\n4\n", 1)},
        note | {"keys": [str(stranger.key)]},
        event | {"entry": event["entry"].replace('"read"', '"sign"')},
        event | {"index": event["index"] + 1},
        event | {"proof": event["proof"][::-1]},
        event | {"proof": event["proof"][1:]},
        grown | {"proof": [*grown["proof"], grown["proof"][0]]},
        grown | {"old": grown["note"], "note": grown["old"]},
    ]
    assert judged(foreign, [note, event, grown]) == ["good"] * 3
    assert all(answer.startswith("bad: ") for answer in judged(foreign, changed))
    assert len(judged(foreign, changed)) == len(changed)
