"""Searching everything that is on disk for words that must not be there, however they are written down."""

import os
import subprocess
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path


def written_forms(word: str) -> set[bytes]:
    """Return how a word may stand in a file: as UTF-8 or UTF-16, and in hex, base64 or JSON's escapes."""
    raw = word.encode()
    forms = {raw, word.encode("utf-16-le"), raw.hex().encode(), raw.hex().upper().encode()}
    forms.add(word.encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00"))
    return forms | {_base64(raw, shift) for shift in range(3)}


def _base64(raw: bytes, shift: int) -> bytes:
    """Return the part of a word's base64 that does not depend on what stands around it."""
    whole = len(raw) - (len(raw) + shift) % 3
    start = -(-shift * 8 // 6) if shift else 0
    return b64encode(bytes(shift) + raw[:whole])[start:].rstrip(b"=")


def find(words: Iterable[str], folder: Path, patterns: Path) -> dict[str, set[str]]:
    """Return the words that stand in files under `folder`, each with the files' names."""
    forms = {form: word for word in words for form in written_forms(word) if len(form) > 3}
    patterns.write_bytes(b"\n".join(sorted(forms)))
    files = _grep("-rlaF", "-f", patterns, folder).splitlines()
    found: dict[str, set[str]] = {}
    for file in map(os.fsdecode, files):
        for hit in set(_grep("-aohF", "-f", patterns, file).split(b"\n")) & forms.keys():
            found.setdefault(forms[hit], set()).add(str(Path(file).relative_to(folder)))
    return found


def _grep(*argv: str | Path) -> bytes:
    done = subprocess.run(
        ["grep", *argv],  # noqa: S607 - the machine's own
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
    )
    assert done.returncode < 2, done.stderr
    return done.stdout
