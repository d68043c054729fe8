"""The keyring's contents: versions of KEKs by purpose, and their JSON."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any

from core.crypto.kek import KeyPurpose
from core.crypto.primitives import KEY_BYTES, secret_key
from core.errors import Conflict, Unavailable


class KekState(StrEnum):
    """One version of each purpose is active and wraps; a destroyed one leaves its number behind."""

    ACTIVE = "active"
    DECRYPT_ONLY = "decrypt_only"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class Kek:
    """One version of a KEK; `key` is None once destroyed."""

    version: int
    state: KekState
    key: bytes | None = field(repr=False)


Keyset = Mapping[KeyPurpose, tuple[Kek, ...]]
"""Versions in ascending order, the last one active."""


def find(keks: tuple[Kek, ...], version: int) -> Kek:
    """Return one version. Raises Unavailable(`key-unavailable`) if it is missing."""
    for kek in keks:
        if kek.version == version:
            return kek
    raise Unavailable("A key version is missing.", code="key-unavailable", version=version)


def fresh(version: int) -> Kek:
    """Make a new active version."""
    return Kek(version, KekState.ACTIVE, os.urandom(KEY_BYTES))


def grown(keks: tuple[Kek, ...]) -> tuple[Kek, ...]:
    """Add a version, which becomes the active one. Numbers are never used twice."""
    *older, active = keks
    return (*older, replace(active, state=KekState.DECRYPT_ONLY), fresh(active.version + 1))


def without(keks: tuple[Kek, ...], version: int) -> tuple[Kek, ...]:
    """Destroy one version, keeping its number."""
    doomed = find(keks, version)
    if doomed.state == KekState.ACTIVE:
        raise Conflict("The current key version still wraps.", code="key-in-use")
    destroyed = Kek(version, KekState.DESTROYED, None)
    return tuple(destroyed if kek is doomed else kek for kek in keks)


def dump(keyset: Keyset) -> bytes:
    """Return the JSON text."""
    entries = {
        purpose: [
            {"version": kek.version, "state": kek.state, "key": kek.key.hex() if kek.key else None}
            for kek in keks
        ]
        for purpose, keks in keyset.items()
    }
    return json.dumps(entries, indent=2).encode() + b"\n"


def load(text: bytes) -> Keyset:
    """Parse strictly. Raises Unavailable(`keyring-broken`), which quotes nothing of the text."""
    try:
        entries = json.loads(text)
        keyset = {KeyPurpose(name): tuple(map(_kek, keks)) for name, keks in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        keyset = {}
    if not keyset or not all(map(_consistent, keyset.values())):
        raise Unavailable("The keyring file is not a keyring.", code="keyring-broken")
    return keyset


def _kek(entry: dict[str, Any]) -> Kek:
    key = None if entry["key"] is None else secret_key(bytes.fromhex(entry["key"]))
    return Kek(int(entry["version"]), KekState(entry["state"]), key)


def _consistent(keks: tuple[Kek, ...]) -> bool:
    states = [kek.state for kek in keks]
    return (
        states[-1:] == [KekState.ACTIVE]
        and states.count(KekState.ACTIVE) == 1
        and all(earlier.version < later.version for earlier, later in pairwise(keks))
        and all((kek.key is None) == (kek.state == KekState.DESTROYED) for kek in keks)
    )
