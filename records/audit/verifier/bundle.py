"""A bundle: the log, or some of its events with their proofs, as one tar file that anybody can check without a server.

It holds `checkpoints.ndjson` (signed notes, oldest first), `entries.ndjson` (one event a line), `vkey`, and says in
`manifest.json` whether it is the whole log. The verifier's own key file, not the bundle's, is what a careful reader pins.
"""

import base64
import json
import tarfile
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from core.transparency.merkle import leaf_hash, verify_inclusion
from core.transparency.notes import BadNote, Checkpoint, Key, Note
from records.audit.verifier.examination import Entry, Examination, names
from records.audit.verifier.findings import Kind, Report


class NoBundle(ValueError):
    """A file that is not a bundle."""


def write(
    file: IO[bytes],
    *,
    key: str,
    notes: Iterable[str],
    entries: IO[bytes],
    whole: bool,
    about: dict[str, Any],
) -> None:
    """Write a bundle; `entries` is a file of the entries, one a line, written to its end."""
    manifest = {"format": "confide-audit-bundle/1", "whole": whole, **about}
    parts = {
        "manifest.json": json.dumps(manifest, indent=2),
        "vkey": key + "\n",
        "checkpoints.ndjson": "".join(json.dumps(note) + "\n" for note in notes),
    }
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, text in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, BytesIO(text.encode()))
        info = tarfile.TarInfo("entries.ndjson")
        info.size = entries.tell()
        entries.seek(0)
        tar.addfile(info, entries)


def line(
    index: int, event_id: str, leaf: bytes, body: bytes | None, proof: Iterable[bytes] = ()
) -> str:
    """Return an entry as a line of a bundle."""
    entry: dict[str, Any] = {
        "index": index,
        "event_id": event_id,
        "leaf_hash": base64.b64encode(leaf).decode(),
        "body": None if body is None else body.decode(),
    }
    hashes = [base64.b64encode(h).decode() for h in proof]
    return json.dumps(entry | ({"proof": hashes} if hashes else {})) + "\n"


def verify(
    path: Path, key: Key | None = None, seen: Iterable[str] = (), witness: Key | None = None
) -> Report:
    """Examine a bundle, with the key it brings unless another is given, and with checkpoints seen elsewhere."""
    try:
        with tarfile.open(path) as tar:
            manifest = json.loads(_part(tar, "manifest.json").read())
            key = key or Key.parse(_part(tar, "vkey").read().decode())
            notes = [json.loads(row) for row in _part(tar, "checkpoints.ndjson")]
            examination, elsewhere = Examination(key), list(seen)
            examination.signed(notes, "bundle")
            examination.signed(elsewhere, "witness", witness)
            if not manifest["whole"]:
                return _verify_some(examination, notes, tar, witnessed=bool(elsewhere))
            for entry, _ in _entries(tar):
                examination.entry(entry)
            return examination.end()
    except (tarfile.TarError, OSError, KeyError, ValueError, TypeError) as error:
        raise NoBundle(f"{path.name} is no bundle that can be read") from error


def _verify_some(
    examination: Examination, notes: list[str], tar: tarfile.TarFile, *, witnessed: bool
) -> Report:
    """Examine events that are not the whole log: each has a proof that leads to the last checkpoint.

    A witness tells of it what it has seen at the very size: from one size to another a part of the log proves nothing.
    """
    report, places = examination.report, set[int]()
    try:
        head = Checkpoint.parse(Note.parse(notes[-1]).text)
    except (BadNote, IndexError):
        report.add(Kind.NOTHING)
        return report
    if witnessed and "witness" not in examination.meet(head.size, head.root):
        report.add(Kind.UNWITNESSED, head.size)
    for entry, proof in _entries(tar):
        report.size += 1
        body = entry.body or b""
        if not verify_inclusion(entry.index, head.size, leaf_hash(body), proof, head.root):
            report.add(Kind.PROOF, entry.index, entry.event_id)
        elif not names(body, entry.event_id):
            report.add(Kind.COLUMN, entry.index, f"id of {entry.event_id}")
        if entry.index in places:
            report.add(Kind.DOUBLED, entry.index, entry.event_id)
        places.add(entry.index)
    return report


def _entries(tar: tarfile.TarFile) -> Iterator[tuple[Entry, list[bytes]]]:
    for row in _part(tar, "entries.ndjson"):
        given = json.loads(row)
        body = None if given["body"] is None else given["body"].encode()
        leaf, proof = base64.b64decode(given["leaf_hash"]), given.get("proof", ())
        entry = Entry(given["index"], given["event_id"], leaf, body)
        yield entry, [base64.b64decode(h) for h in proof]


def _part(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    if file is None:
        raise NoBundle(f"{name} is missing")
    return file
