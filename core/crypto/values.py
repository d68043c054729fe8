"""Python values as the plaintext of a cell, and back."""

import json
import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

import orjson

from core.canonical import EXACT, NotCanonical, canonical
from core.errors import Invalid

Value: TypeAlias = (
    str | date | int | Decimal | bool | dict[str, Any] | list[Any] | bytes | orjson.Fragment
)
"""What a cell may hold. A Fragment is JSON in its canonical form that nobody has read yet."""

MAX_PLAINTEXT: Final = 16 * 1024
"""Bytes, padding included."""

PADDED: Final = 0x80
_PADDING_MARK: Final = b"\x80"
_SMALL_BUCKETS: Final = (16, 32, 64, 128)
_LARGE_BUCKET: Final = 256


def encode(value: Value, *, padded: bool = False) -> tuple[int, bytes]:
    """Return the type byte and the plaintext of `value`.

    A subclass goes as its base type, so a StrEnum comes back as the equal str. Text becomes NFC.
    Raises TypeError for a type and NotCanonical for a value that has no encoding, neither with the
    value in it, and Invalid(`value-too-long`) past MAX_PLAINTEXT.
    """
    kind, encoder = _encoder(value)
    plaintext = _encoded(encoder, value)
    if plaintext is None:
        raise NotCanonical(f"this {type(value).__name__} cannot be sealed")
    if padded:
        kind, plaintext = kind | PADDED, _pad(plaintext)
    if len(plaintext) > MAX_PLAINTEXT:
        raise Invalid("A sealed value has at most 16 KiB.", code="value-too-long")
    return kind, plaintext


def decode(kind: int, plaintext: bytes, *, unread: bool = False) -> Value | None:
    """Return what `encode` was given, or None if the bytes are not of that kind.

    JSON may stay `unread`: who only passes it on, or seals it anew, has no need of its parts.
    """
    try:
        raw = _unpad(plaintext) if kind & PADDED else plaintext
        kind &= ~PADDED
        return orjson.Fragment(raw) if unread and kind == _JSON else _DECODERS[kind](raw)
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _encoder(value: Value) -> tuple[int, Callable[[Any], bytes]]:
    if not isinstance(value, datetime):  # a date that would lose its time
        for base in type(value).__mro__:
            if base in _ENCODERS:
                return _ENCODERS[base]
    raise TypeError(f"{type(value).__name__} is no type that can be sealed")


def _encoded(encoder: Callable[[Any], bytes], value: Value) -> bytes | None:
    """Codec errors print the value they choke on: they end here, outside any later `__context__`."""
    try:
        return encoder(value)
    except (ValueError, RecursionError):
        return None


def _pad(plaintext: bytes) -> bytes:
    """ISO/IEC 7816-4 padding to the next bucket: a short code's length would otherwise name it."""
    marked = plaintext + _PADDING_MARK
    size = next((size for size in _SMALL_BUCKETS if len(marked) <= size), None)
    return marked.ljust(size or -(-len(marked) // _LARGE_BUCKET) * _LARGE_BUCKET, b"\0")


def _unpad(padded: bytes) -> bytes:
    marked = padded.rstrip(b"\0")
    if not marked.endswith(_PADDING_MARK):
        raise ValueError("no padding")
    return marked[:-1]


def _text(value: str) -> bytes:
    return (value if value.isascii() else unicodedata.normalize("NFC", value)).encode()


def _integer(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _decimal(value: Decimal) -> bytes:
    if not value.is_finite():
        raise ValueError("not a number")
    return str(value).encode()


def read(value: Any) -> Any:
    """Return a value with its parts, if it is JSON that was left unread."""
    return _json(orjson.dumps(value)) if isinstance(value, orjson.Fragment) else value


def _json(raw: bytes) -> Any:
    return _READER.decode(raw.decode()) if _LONG.search(raw) else orjson.loads(raw)


def _number(digits: str) -> int | float:
    """RFC 8785 writes a whole float past 2^53 like an integer, and no integer is that large."""
    number = int(digits)
    return number if abs(number) < EXACT else float(digits)


_JSON: Final = 6
_LONG: Final = re.compile(rb"\d{16}")
"""A number that may be past 2^53; few texts have one."""
_READER: Final = json.JSONDecoder(parse_int=_number)

_CODECS: Final[tuple[tuple[int, type, Callable[[Any], bytes], Callable[[bytes], Value]], ...]] = (
    (1, str, _text, bytes.decode),
    (2, date, lambda day: day.isoformat().encode(), lambda raw: date.fromisoformat(raw.decode())),
    (3, int, _integer, lambda raw: int.from_bytes(raw, "big", signed=True)),
    (4, Decimal, _decimal, lambda raw: Decimal(raw.decode())),
    (5, bool, lambda flag: b"\1" if flag else b"\0", lambda raw: raw == b"\1"),
    (_JSON, dict, canonical, _json),
    (_JSON, list, canonical, _json),
    (_JSON, orjson.Fragment, orjson.dumps, _json),
    (7, bytes, bytes, bytes),
)
_ENCODERS: Final = {python: (kind, encoder) for kind, python, encoder, _ in _CODECS}
_DECODERS: Final = {kind: decoder for kind, _, _, decoder in _CODECS}
KINDS: Final = frozenset(_DECODERS) | {kind | PADDED for kind in _DECODERS}
"""Every type byte a cell may have."""
