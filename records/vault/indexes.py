"""Blind indexes: exact search over sealed columns, through keyed hashes that say nothing without the key."""

import secrets
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from core.crypto.blind_index import IndexKey as Indexer
from core.crypto.blind_index import normal_code
from core.crypto.kek import KekProvider, KeyPurpose, Wrapped
from core.crypto.primitives import lp
from core.database import Database
from records.base import table_of
from records.vault.models import IndexKey

VERSION: Final = 1
UNIQUE_BITS: Final = 128
"""For values that are unique anyway: their equality tells nothing new."""

_KEYS: Final = table_of(IndexKey)


class Indexes:
    """The tokens of every searchable column, under one root key."""

    def __init__(self, key: Indexer) -> None:
        self._key = key

    @classmethod
    async def load(cls, database: Database, provider: KekProvider) -> "Indexes":
        """Fetch the root key, making it on the first start; racing first starts agree on one."""
        secret = secrets.token_bytes(32)
        fresh = provider.wrap(KeyPurpose.INDEX, secret, _context(VERSION))
        values = {"version": VERSION, "kek_version": fresh.version, "wrapped": fresh.blob}
        async with database.transaction() as session:
            await session.execute(insert(_KEYS).values(values).on_conflict_do_nothing())
            row = (await session.execute(select(_KEYS).where(_KEYS.c.version == VERSION))).one()
        wrapped = Wrapped(row.kek_version, row.wrapped)
        return cls(Indexer(provider.unwrap(KeyPurpose.INDEX, wrapped, _context(VERSION))))

    def identifier(self, value: str) -> bytes:
        """Return the token of an identifier's value; spelling (case, blanks, dashes) does not matter."""
        return self._key.token("identifier", "value", "exact", [normal_code(value)], UNIQUE_BITS)

    def source(self, reference: str) -> str:
        """Return the token, in hex, of where an imported row came from: a second import finds it."""
        return self._key.token("any", "source", "exact", [reference], UNIQUE_BITS).hex()

    def request(self, text: str) -> bytes:
        """Return the token of a request's key or body, by which the same request is known again."""
        return self._key.token("idempotency_key", "token", "exact", [text], UNIQUE_BITS)

    def login(self, username: str) -> bytes:
        """Return the token of a login name."""
        parts = [username.strip().casefold()]
        return self._key.token("account", "login", "exact", parts, UNIQUE_BITS)


def _context(version: int) -> bytes:
    return lp("confide/irk/v1", version.to_bytes(4, "big"))
