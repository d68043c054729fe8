"""Producers: each run of each process has a key of its own, and under each of its events stands a MAC that no SQL can make.

The database keeps the key wrapped by the audit KEK. So whoever can write the outbox, with a stolen password or an injected
statement, can add rows to it and yet no event: the ledger's worker asks for the MAC, and sets apart what has none.
"""

import asyncio
import hmac
import os
from collections.abc import Collection
from functools import partial
from typing import Any, Final
from uuid import UUID

from core.crypto.kek import KekProvider, KeyPurpose, Wrapped
from core.crypto.primitives import KEY_BYTES, lp, mac
from core.crypto.refusal import DecryptError, Unpicklable
from core.database import Database
from core.ids import new_id

_INTRODUCE: Final = """
INSERT INTO audit.producer (boot, kek_version, wrapped, started_at) VALUES ($1, $2, $3, now())
ON CONFLICT DO NOTHING
"""
_MEET: Final = "SELECT boot, kek_version, wrapped FROM audit.producer WHERE boot = ANY($1::uuid[])"


class Producer(Unpicklable):
    """This run of this process: its name, and the key it seals events with."""

    def __init__(self, keys: KekProvider) -> None:
        self.boot = new_id()
        self._keys = keys
        self._key = os.urandom(KEY_BYTES)
        self._known = False

    def seal(self, body: bytes) -> bytes:
        """Return the MAC of an event."""
        return mac(self._key, body)

    async def introduce(self, database: Database) -> None:
        """Let those who check events know this producer: before its first event, since many a run has none."""
        if self._known:
            return
        wrap = partial(self._keys.wrap, KeyPurpose.AUDIT, self._key, producer_context(self.boot))
        wrapped = await asyncio.to_thread(wrap)
        async with database.bare() as connection:
            await connection.execute(_INTRODUCE, self.boot, wrapped.version, wrapped.blob)
        self._known = True


class Producers:
    """The producers that a worker has met, and their keys."""

    def __init__(self, keys: KekProvider) -> None:
        self._keys = keys
        self._known: dict[UUID, bytes] = {}

    async def meet(self, connection: Any, boots: Collection[UUID]) -> None:
        """Unwrap the keys of producers that are new here; a key that does not unwrap is nobody's."""
        strangers = [boot for boot in boots if boot not in self._known]
        for row in await connection.fetch(_MEET, strangers) if strangers else ():
            wrapped = Wrapped(row["kek_version"], row["wrapped"])
            try:
                key = self._keys.unwrap(KeyPurpose.AUDIT, wrapped, producer_context(row["boot"]))
            except DecryptError:
                continue
            self._known[row["boot"]] = key

    def sealed(self, boot: UUID, body: bytes, seal: bytes) -> bool:
        """Tell whether an event was made by the producer it names."""
        key = self._known.get(boot)
        return key is not None and hmac.compare_digest(mac(key, body), seal)


def producer_context(boot: UUID) -> bytes:
    """Return what a producer's key is wrapped for."""
    return lp("confide/audit-producer/v1", boot.bytes)
