"""Files of sealed bytes, beside the database: written aside, flushed to the disk, then named; never changed."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import time
from typing import BinaryIO, Final
from uuid import UUID

PIECE: Final = 1 << 20
"""Bytes read or written at once."""
COMING: Final = "coming"


class Blobs:
    """One folder of blobs by id. A blob is there in whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, blob_id: UUID) -> BinaryIO:
        """Open a new blob for writing; nobody finds it before `finish`."""
        coming = self._coming(blob_id)
        coming.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return open(coming, "xb", opener=_private)

    def finish(self, blob_id: UUID, file: BinaryIO) -> None:
        """Flush a blob to the disk and give it its name."""
        file.flush()
        os.fsync(file.fileno())
        file.close()
        path = self.path(blob_id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._coming(blob_id).rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def drop(self, blob_id: UUID) -> None:
        """Remove a blob, finished or not, if it is there."""
        self._coming(blob_id).unlink(missing_ok=True)
        self.path(blob_id).unlink(missing_ok=True)

    def pieces(self, blob_id: UUID) -> Iterator[bytes]:
        """Yield a blob in pieces; raises FileNotFoundError when it is not there."""
        with self.path(blob_id).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece

    def older_than(self, seconds: float) -> Iterator[UUID]:
        """Yield the ids of blobs, finished or not, that were last written so long ago."""
        for path in self._folder.glob("*/*"):
            found = None
            # One that is finished or dropped meanwhile is gone; a file of somebody else's has no id.
            with suppress(FileNotFoundError, ValueError):
                found = UUID(path.name) if path.stat().st_mtime < time() - seconds else None
            if found:
                yield found

    def path(self, blob_id: UUID) -> Path:
        """Return where a blob is: in one of 256 folders by the end of its id, which is random."""
        return self._folder / blob_id.hex[-2:] / blob_id.hex

    def _coming(self, blob_id: UUID) -> Path:
        return self._folder / COMING / blob_id.hex


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
