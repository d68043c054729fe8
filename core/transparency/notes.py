"""Signed notes and cosignatures (c2sp.org/signed-note, /tlog-cosignature): a text, and under it who vouches for it."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Self

from core.crypto.ed25519 import SEED_BYTES, SigningKey, verify

SIGNED: Final = 1
COSIGNED: Final = 4
"""Kinds of signature: over the text; over a time and the text."""
_SECRET: Final = "PRIVATE+KEY+"  # noqa: S105 - a prefix
_DASH: Final = "— "
_TIMED: Final = 4 + 8 + 64
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")


class BadNote(ValueError):
    """A text that is no note, or whose signature is not what it should be."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key with a name: who it is that signs, and how; and the keys of that name it took over from, newest first."""

    name: str
    kind: int
    public: bytes
    former: tuple["Key", ...] = ()

    @classmethod
    def parse(cls, vkeys: str) -> Self:
        """Read a verifier key `name+hash+base64`, and those before it in lines of their own; BadNote for any other text."""
        key, *former = [cls._parsed(line) for line in vkeys.strip().split("\n")]
        if any(each.name != key.name for each in former):
            raise BadNote("a key takes over from one of its own name")
        return replace(key, former=tuple(former))

    @classmethod
    def _parsed(cls, vkey: str) -> Self:
        name, _, rest = vkey.strip().partition("+")
        mark, _, encoded = rest.partition("+")
        raw = decoded(encoded)
        key = cls(name, raw[0] if raw else 0, raw[1:])
        if key.kind not in {SIGNED, COSIGNED} or len(key.public) != SEED_BYTES or not name:
            raise BadNote("this is no verifier key")
        if key.id.hex() != mark:
            raise BadNote("the verifier key does not fit its own hash")
        return key

    @property
    def id(self) -> bytes:
        """Return the four bytes by which signatures name the key."""
        return sha256(f"{self.name}\n".encode() + bytes([self.kind]) + self.public).digest()[:4]

    @property
    def line(self) -> str:
        """Return the key alone, without those before it."""
        return f"{self.name}+{self.id.hex()}+{_encoded(bytes([self.kind]) + self.public)}"

    def __str__(self) -> str:
        return "\n".join(key.line for key in (self, *self.former))


class Signer:
    """A private key with a name."""

    def __init__(self, name: str, seed: bytes, former: tuple[Key, ...] = ()) -> None:
        self._key = SigningKey(seed)
        self.name = name
        self.key = Key(name, SIGNED, self._key.public, former)
        self.cosigner = Key(name, COSIGNED, self._key.public)

    @classmethod
    def parse(cls, text: str, former: tuple[Key, ...] = ()) -> Self:
        """Read the text that `write_secret` returned; `former` are the keys it takes over from."""
        name, _, encoded = text.strip().removeprefix(_SECRET).partition("+")
        return cls(name, decoded(encoded.partition("+")[2])[1:], former)

    def sign(self, text: str) -> str:
        """Return a signature line over a note's text."""
        return _line(self.key, self._key.sign(text.encode()))

    def cosign(self, text: str, seconds: int) -> str:
        """Return a signature line that also says when, in seconds since 1970, this was the newest text of its origin."""
        signature = self._key.sign(_cosigned(text, seconds))
        return _line(self.cosigner, seconds.to_bytes(8, "big") + signature)


def write_secret(name: str, seed: bytes) -> str:
    """Return a private key as text, in the form that Go's `note` package reads too."""
    key = Signer(name, seed).key
    return f"{_SECRET}{name}+{key.id.hex()}+{_encoded(bytes([SIGNED]) + seed)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A text (with its last newline) and its signatures: name, key id, bytes."""

    text: str
    signatures: Sequence[tuple[str, bytes, bytes]]

    @classmethod
    def parse(cls, note: str) -> Self:
        """Take a note apart; BadNote if it has not the form of one."""
        text, gap, lines = note.rpartition("\n\n")
        if (
            not gap
            or not lines.endswith("\n")
            or any(ord(c) < ord(" ") and c != "\n" for c in note)
        ):
            raise BadNote("this is no signed note")
        return cls(text + "\n", [_signature(line) for line in lines[:-1].split("\n")])

    def signed_by(self, key: Key) -> bool:
        """Tell whether the key's owner vouches for the text; with the right name and a wrong signature, it does not."""
        return bool(self.generations(key))

    def generations(self, key: Key) -> list[int]:
        """Return which of the owner's keys signed the text: 0 for the present one, 1 for the one before; none if one fails."""
        known = {each.id: n for n, each in enumerate((key, *key.former))}
        keys = (key, *key.former)
        found = [
            (known[i], raw) for name, i, raw in self.signatures if name == key.name and i in known
        ]
        good = all(_fits(keys[n], self.text, raw) for n, raw in found)
        return sorted({n for n, _ in found}) if good else []

    def time_of(self, key: Key) -> int | None:
        """Return when a cosigner of the text vouched for it, in seconds since 1970."""
        if key.kind != COSIGNED or not self.signed_by(key):
            return None
        raw = next(raw for _, mark, raw in self.signatures if mark == key.id)
        return int.from_bytes(raw[:8], "big")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree's size and root, as a log states them (c2sp.org/tlog-checkpoint)."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a note's text; BadNote if it is no checkpoint."""
        lines = text.split("\n")
        if len(lines) < 4 or not lines[0]:  # noqa: PLR2004 - three and an end
            raise BadNote("this is no checkpoint")
        return cls(lines[0], whole_number(lines[1]), decoded(lines[2]))

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{_encoded(self.root)}\n"


def sealed_note(signer: Signer, text: str, seconds: int) -> str:
    """Return a note signed by its log, which adds when it did: a second signature of the same key, with a time."""
    return f"{text}\n{signer.sign(text)}{signer.cosign(text, seconds)}"


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    raw = decoded(encoded)
    if not line.startswith(_DASH) or not name or len(raw) < 5:  # noqa: PLR2004 - an id and more
        raise BadNote("this is no signature line")
    return name, raw[:4], raw[4:]


def _fits(key: Key, text: str, raw: bytes) -> bool:
    if key.kind == SIGNED:
        return verify(key.public, text.encode(), raw)
    if len(raw) != _TIMED - 4:
        return False
    return verify(key.public, _cosigned(text, int.from_bytes(raw[:8], "big")), raw[8:])


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _line(key: Key, raw: bytes) -> str:
    return f"{_DASH}{key.name} {_encoded(key.id + raw)}\n"


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def whole_number(text: str) -> int:
    """Read a size or an index, which has one spelling; BadNote for any other text."""
    if not _NUMBER.fullmatch(text):
        raise BadNote("this is no number")
    return int(text)


def decoded(text: str) -> bytes:
    """Read base64, which has one spelling; BadNote for any other text."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote("this is no base64") from None
    if _encoded(raw) != text:
        raise BadNote("this is no base64")
    return raw
