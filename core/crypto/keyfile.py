"""A file of keys: private to its owner, replaced whole, never half written."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from core.errors import Unavailable

_EVERYONE_ELSE: Final = stat.S_IRWXG | stat.S_IRWXO
KEYRING: Final = "keyring file"


def identity(path: Path, what: str = KEYRING) -> tuple[int, int]:
    """Return what changes whenever the file is replaced, edited or given other rights."""
    try:
        status = path.stat()
    except OSError:
        raise Unavailable(f"The {what} is gone.", code="key-unavailable") from None
    return status.st_ino, status.st_ctime_ns


def read(path: Path, what: str = KEYRING) -> bytes:
    """Return the content.

    Raises Unavailable: `key-unavailable` if it cannot be read, `keyring-exposed` if it belongs to
    another user or group and others have any right on it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise Unavailable(f"The {what} cannot be read.", code="key-unavailable") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_mode & _EVERYONE_ELSE or status.st_uid != os.geteuid():
            raise Unavailable(f"The {what} must be ours alone.", code="keyring-exposed")
        return file.read()


@contextmanager
def exclusive(path: Path) -> Iterator[int]:
    """Keep other writers of the folder out; two rotations at once would lose a key for ever."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(folder)


def write(path: Path, content: bytes, folder: int) -> None:
    """Replace the file in one step: after a crash it is the old one or the new one, both durable.

    `folder` is what `exclusive` yielded. A crash can leave a draft behind; the next write removes it.
    """
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
    os.fsync(folder)
