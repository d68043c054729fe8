"""A file on its way in: looked at, digested, sealed and stored piece by piece."""

from codecs import getincrementaldecoder
from contextlib import suppress
from hashlib import sha256
from secrets import token_bytes
from typing import Any, BinaryIO, Final
from uuid import UUID

import puremagic

from core.blobs import Blobs
from core.crypto.cobblestone import encryptor
from core.crypto.envelope import Value
from core.crypto.primitives import KEY_BYTES, lp
from core.ids import new_id

HEAD: Final = 16 * 1024
"""Bytes that are looked at to tell the media type."""
PLAIN: Final = "text/plain"
UNKNOWN: Final = "application/octet-stream"


class Intake:
    """One file for one patient. `take` and `finish` block, so they run in a thread."""

    def __init__(self, blobs: Blobs, patient_id: UUID, name: str) -> None:
        self.id = new_id()
        self.secret = token_bytes(KEY_BYTES)
        self.patient_id = patient_id
        self.name = name
        self.media_type = UNKNOWN
        self.size = 0
        self._digest = sha256()
        self._blobs = blobs
        self._file: BinaryIO | None = None
        self._head = b""
        self._sealing: Any = None
        self._begun = False

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the bytes so far."""
        return self._digest.digest()

    @property
    def words(self) -> dict[str, Value | None]:
        """What a row says of it under seal, and its reader is told."""
        return {"name": self.name, "media_type": self.media_type, "digest": self.digest}

    def take(self, piece: bytes) -> None:
        """Seal a piece and store it; the first ones wait until there is enough to tell the type."""
        self.size += len(piece)
        self._digest.update(piece)
        if self._begun:
            self._store(self._sealing.update(piece))
            return
        self._head += piece
        if len(self._head) >= HEAD:
            self._begin()

    def finish(self) -> None:
        """Seal the last piece, and have all of it on the disk under its name."""
        if not self._begun:
            self._begin()
        self._store(self._sealing.finalize())
        assert self._file is not None
        self._blobs.finish(self.id, self._file)

    def drop(self) -> None:
        """Leave nothing of it behind."""
        if self._file is not None:
            self._file.close()
        self._blobs.drop(self.id)

    def _begin(self) -> None:
        """Tell the type, and seal what has waited."""
        self.media_type = media_type(self._head)
        context = context_of(self.id, self.patient_id, self.name, self.media_type)
        self._sealing = encryptor(self.secret, context)
        self._file = self._blobs.begin(self.id)
        self._begun = True
        self._store(self._sealing.update(self._head))
        self._head = b""

    def _store(self, sealed: bytes) -> None:
        assert self._file is not None
        self._file.write(sealed)


def media_type(head: bytes) -> str:
    """Return the media type that the first bytes of a file tell; what the sender says is not asked."""
    with suppress(puremagic.PureError, ValueError):
        found = [match.mime_type for match in puremagic.magic_string(head) if match.mime_type]
        if found:
            return str(found[0])
    with suppress(UnicodeDecodeError):
        if head and "\x00" not in getincrementaldecoder("utf-8")().decode(head):
            return PLAIN
    return UNKNOWN


def context_of(attachment_id: UUID, patient_id: UUID, name: str, kind: str) -> bytes:
    """Return what an attachment's ciphertext is bound to: its id, its patient, its name and its type."""
    named = sha256(name.encode()).digest()
    return lp("confide/blob/v1", attachment_id.bytes, patient_id.bytes, named, kind)
