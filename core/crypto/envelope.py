"""Sealing column values under a patient's data key: suite F1, AES-256-GCM with key commitment.

A cell is `E5 | 01 | suite | type | key_id u64 | nonce 12 | commitment 32 | ciphertext | tag 16`,
72 bytes more than its plaintext. GCM alone lets one ciphertext open under two keys; the
commitment, 256 bits from the same HKDF call as the column's key, is what stops that.
"""

import os
from hmac import compare_digest
from itertools import count
from typing import Final, NamedTuple, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.crypto.primitives import KEY_BYTES, aead, expand, lp, secret_key
from core.crypto.refusal import DecryptCode, DecryptError, Place, Unpicklable
from core.crypto.values import KINDS, MAX_PLAINTEXT, Value, decode, encode
from core.errors import Unavailable

__all__ = ["Cell", "DataKey", "DecryptCode", "DecryptError", "Place", "Value", "key_id_of"]

SUITE: Final = b"\xe5\x01\x01"  # magic, version of the format, F1
_HEADER: Final = 12
_NONCE_END: Final = _HEADER + 12
_COMMITMENT_END: Final = _NONCE_END + 32
OVERHEAD: Final = _COMMITMENT_END + 16
NONCE_LIMIT: Final = 1 << 24
"""Cells one process seals under one column key: random nonces are safe to 2^32, over all processes."""


class Cell(Unpicklable, bytes):
    """One sealed column value. It shows nothing of itself, and what would render it refuses."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<sealed>"

    __str__ = __repr__

    def __format__(self, _spec: str) -> NoReturn:
        raise TypeError("a sealed cell has no text")


class _Column(NamedTuple):
    cipher: AESGCM
    commitment: bytes
    aad: bytes
    sealed: "count[int]"


class DataKey(Unpicklable):
    """A patient's data key, as row `key_id` and `version` of the key table name it."""

    __slots__ = ("_columns", "_id", "_secret", "_version", "key_id", "version")

    def __init__(self, key_id: int, version: int, secret: bytes) -> None:
        self.key_id = key_id
        self.version = version
        self._secret = secret_key(secret)
        self._id = key_id.to_bytes(8, "big")
        self._version = version.to_bytes(4, "big")
        self._columns: dict[tuple[str, str], _Column] = {}

    def __repr__(self) -> str:
        return f"<DataKey {self.key_id} v{self.version}>"

    def seal(self, place: Place, value: Value, *, padded: bool = False) -> Cell:
        """Encrypt `value` for `place`; `padded` hides the length of short coded fields.

        Raises Unavailable(`key-exhausted`) when this key has sealed its share of the column, and
        what `values.encode` raises.
        """
        if isinstance(value, Cell):
            raise TypeError("a cell is already sealed")
        column = self._column(place)
        if next(column.sealed) >= NONCE_LIMIT:
            raise Unavailable("The patient's key is due for rotation.", code="key-exhausted")
        kind, plaintext = encode(value, padded=padded)
        header = SUITE + kind.to_bytes(1, "big") + self._id
        nonce = os.urandom(12)
        box = column.cipher.encrypt(nonce, plaintext, self._aad(header, column, place))
        return Cell(header + nonce + column.commitment + box)

    def open(self, place: Place, cell: bytes, *, unread: bool = False) -> Value:
        """Decrypt what `seal` made for this very place under this very key, or raise DecryptError.

        JSON may stay `unread` (see `values.decode`). Whether the key may still be used is the caller's question: ask the row, not a cache.
        """
        if not _well_formed(cell):
            raise DecryptError(DecryptCode.FORMAT, place)
        column = self._column(place)
        named = cell[4:_HEADER] == self._id
        if not (named and compare_digest(cell[_NONCE_END:_COMMITMENT_END], column.commitment)):
            raise DecryptError(DecryptCode.AUTH, place)
        plaintext = _decrypted(column.cipher, cell, self._aad(cell[:_HEADER], column, place))
        if plaintext is None:
            raise DecryptError(DecryptCode.AUTH, place)
        value = decode(cell[3], plaintext, unread=unread)
        if value is None:
            raise DecryptError(DecryptCode.FORMAT, place)
        return value

    def _aad(self, header: bytes, column: _Column, place: Place) -> bytes:
        return header + column.aad + place.row_id.bytes + place.patient_id.bytes + self._version

    def _column(self, place: Place) -> _Column:
        names = place.table, place.column
        return self._columns.get(names) or self._columns.setdefault(names, self._derive(*names))

    def _derive(self, table: str, column: str) -> _Column:
        okm = expand(self._secret, lp("confide/field/v1", table, column), 2 * KEY_BYTES)
        cipher, commitment = aead(okm[:KEY_BYTES]), okm[KEY_BYTES:]
        return _Column(cipher, commitment, lp("confide/aad/v1", table, column), count())


def key_id_of(cell: bytes) -> int:
    """Return the id of the data key a cell names, unauthenticated: the caller checks whose it is."""
    if not _well_formed(cell):
        raise DecryptError(DecryptCode.FORMAT)
    return int.from_bytes(cell[4:_HEADER], "big")


def _well_formed(cell: bytes) -> bool:
    return (
        OVERHEAD <= len(cell) <= OVERHEAD + MAX_PLAINTEXT and cell[:3] == SUITE and cell[3] in KINDS
    )


def _decrypted(cipher: AESGCM, cell: bytes, aad: bytes) -> bytes | None:
    """None means refused; the library's exception ends here, outside any later `__context__`."""
    try:
        return cipher.decrypt(cell[_HEADER:_NONCE_END], cell[_COMMITMENT_END:], aad)
    except InvalidTag:
        return None
