"""A file of signed checkpoints that only grows: one a line, each on the disk before the next."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_TAIL: Final = 64 * 1024
"""Bytes at the end of the file among which the last checkpoint is: it has some 500."""


class Book:
    """Checkpoints somebody has seen, in the order in which they came."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, note: str) -> None:
        """Add a note, durably. What a crash cut short before is ended first."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            size = os.fstat(descriptor).st_size
            torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
            file.write((b"\n" if torn else b"") + json.dumps(note).encode() + b"\n")
            file.flush()
            os.fsync(descriptor)

    def last(self) -> str | None:
        """Return the note added last."""
        return next(_notes(reversed(self._tail().split(b"\n"))), None)

    def __iter__(self) -> Iterator[str]:
        if self.path.exists():
            with self.path.open("rb") as file:
                yield from _notes(line.rstrip(b"\n") for line in file)

    def _tail(self) -> bytes:
        if not self.path.exists():
            return b""
        with self.path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            return file.read()


def _notes(lines: Iterator[bytes]) -> Iterator[str]:
    """Yield the notes of whole lines: a line that a crash cut short holds none."""
    for line in lines:
        try:
            note = json.loads(line)
        except ValueError:
            continue
        if isinstance(note, str):
            yield note
