"""Blind indexes: exact search over sealed columns, through keyed hashes that say nothing without the key.

Equal values have equal tokens. Where values are common, that alone tells who they are, so such an index `blurs`: it is cut
so short that many values share each token. How short is planned at start, for the number of patients the clinic
expects, and kept with the key.
"""

import secrets
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from math import log2
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from core.crypto import cobblestone
from core.crypto.blind_index import IndexKey as Indexer
from core.crypto.blind_index import normal_code
from core.crypto.kek import KekProvider, KeyPurpose, Wrapped, ask
from core.crypto.primitives import lp
from core.database import Database, Query
from core.settings import settings
from records.base import Executor, Protected, Searchable, table_of
from records.vault.models import IndexKey

VERSION: Final = 1
UNIQUE_BITS: Final = 128
"""For values that are unique anyway: their equality tells nothing new."""
FEWEST_BITS: Final = 4
"""An index that lets fewer than sixteen tokens apart is no index."""
_LONGEST_NAME: Final = 1000

TURN: Final = 0x1DE7
"""The advisory lock that whoever writes tokens shares, and who makes a new root key has alone."""

_KEYS: Final = table_of(IndexKey)
LIVING: Final = (
    select(_KEYS.c.version, _KEYS.c.kek_version, _KEYS.c.wrapped)
    .where(~_KEYS.c.retired)
    .order_by(_KEYS.c.version)
)
_LIVING: Final = Query(LIVING)
_FIRST: Final = Query(select(_KEYS).where(_KEYS.c.version == VERSION))


class Telling(ValueError):
    """The blind indexes of a table would together tell one row from another, so Confide does not start."""


class Indexes:
    """The tokens of every searchable column.

    The newest root key makes patients' tokens; while it takes over from an older one, they are looked for under both. Login names, sources of
    imports and second factors stay with the first: what they are made of is not kept.
    """

    def __init__(self, provider: KekProvider, root: Indexer, patients: int) -> None:
        self._provider = provider
        self._key = root
        self._living = {VERSION: root}
        self.patients = patients
        for kind in Protected.__subclasses__():
            plan(kind.searchable, patients)

    @classmethod
    async def load(cls, database: Database, provider: KekProvider) -> "Indexes":
        """Fetch the root key, made on the first start."""
        row = await database.one(_FIRST) or await _made(database, provider)
        return cls(provider, await ask(provider, indexer, provider, row), row["patients"])

    @property
    def version(self) -> int:
        """The version of the root key that makes tokens now."""
        return max(self._living)

    @property
    def living(self) -> Sequence[int]:
        """The versions of the root keys under which patients may be found."""
        return list(self._living)

    async def look(self, database: Database) -> None:
        """See which root keys patients are found by now: whoever searched by others searches again."""
        await self._take(await database.all(_LIVING))

    async def hold(self, session: Executor) -> None:
        """See that before tokens are written; until the transaction ends, no rotation begins."""
        await session.execute(select(func.pg_advisory_xact_lock_shared(TURN)))
        await self._take((await session.execute(LIVING)).mappings().all())

    async def _take(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Know these keys from now on. An answer that was overtaken by a newer one is not gone back to."""
        known = self._living | {
            row["version"]: await ask(self._provider, indexer, self._provider, row)
            for row in rows
            if row["version"] not in self._living
        }
        living = {row["version"]: known[row["version"]] for row in rows}
        if max(living) >= self.version:
            self._living = living

    def identifier(self, value: str) -> bytes:
        """Return the token of an identifier's value; spelling (case, blanks, dashes) does not matter."""
        return identifier_token(self._living[self.version], value)

    def identifiers(self, value: str) -> list[bytes]:
        """Return the tokens under which an identifier's value may stand."""
        return [identifier_token(key, value) for key in self._living.values()]

    def source(self, reference: str) -> str:
        """Return the token, in hex, of where an imported row came from: a second import finds it."""
        return self._key.token("any", "source", "exact", [reference], UNIQUE_BITS).hex()

    def request(self, text: str) -> bytes:
        """Return the token of a request's key or body, by which the same request is known again."""
        return self._key.token("idempotency_key", "token", "exact", [text], UNIQUE_BITS)

    def login(self, username: str) -> bytes:
        """Return the token of a login name, however its accents are composed. What is longer than any is nobody's, whatever its end."""
        name = unicodedata.normalize("NFKC", username[:_LONGEST_NAME].strip())
        parts = [name.casefold()]
        return self._key.token("account", "login", "exact", parts, UNIQUE_BITS)

    def lock(self, account_id: UUID, secret: bytes) -> bytes:
        """Seal what an account keeps secret. Accounts have no data keys: the root key, which outlives its KEKs, has one."""
        return cobblestone.encrypt(self._key.derived("account"), account_id.bytes, secret)

    def unlock(self, account_id: UUID, sealed: bytes) -> bytes:
        """Return what was locked for this very account; DecryptError for anything else."""
        return cobblestone.decrypt(self._key.derived("account"), account_id.bytes, sealed)

    def tokens(
        self, kind: type[Protected], values: Mapping[str, Any]
    ) -> Iterator[tuple[str, bytes]]:
        """Yield, for a row with these opened values, each token by the name of its index."""
        return tokens(self._living[self.version], self.patients, kind, values)

    def asked(self, kind: type[Protected], name: str, parts: tuple[str, ...]) -> list[bytes]:
        """Return the tokens under which these parts may stand in an index, one of each living key."""
        return [
            token
            for key in self._living.values()
            for token in _of(key, self.patients, kind, name, [parts])
        ]


async def _made(database: Database, provider: KekProvider) -> Any:
    """Make the root key and return its row; racing first starts agree on one."""
    secret = secrets.token_bytes(32)
    fresh = await ask(provider, provider.wrap, KeyPurpose.INDEX, secret, irk_context(VERSION))
    values = {
        "version": VERSION,
        "kek_version": fresh.version,
        "wrapped": fresh.blob,
        "patients": settings().expected_patients,
    }
    async with database.transaction() as session:
        await session.execute(insert(_KEYS).values(values).on_conflict_do_nothing())
    return await database.one(_FIRST)


def indexer(provider: KekProvider, row: Mapping[str, Any]) -> Indexer:
    """Unwrap a root key."""
    wrapped = Wrapped(row["kek_version"], row["wrapped"])
    return Indexer(provider.unwrap(KeyPurpose.INDEX, wrapped, irk_context(row["version"])))


def tokens(
    key: Indexer, patients: int, kind: type[Protected], values: Mapping[str, Any]
) -> Iterator[tuple[str, bytes]]:
    """Yield the tokens of a row's opened values under one root key, each by the name of its index."""
    for index in kind.searchable:
        for token in _of(key, patients, kind, index.name, index.parts(values)):
            yield index.name, token


def identifier_token(key: Indexer, value: Any) -> bytes:
    """Return the token of an identifier's value under one root key."""
    return key.token("identifier", "value", "exact", [normal_code(value)], UNIQUE_BITS)


def _of(
    key: Indexer,
    patients: int,
    kind: type[Protected],
    name: str,
    parts: Iterable[tuple[str, ...]],
) -> Iterator[bytes]:
    """Yield the tokens of `parts` in one index of a table; each once, though two names may share one, and none of nothing."""
    bits = plan(kind.searchable, patients)[name]
    table = table_of(kind).name
    yield from sorted({key.token(table, name, "exact", p, bits) for p in parts if all(p)})


@cache
def plan(indexes: tuple[Searchable, ...], rows: int) -> Mapping[str, int]:
    """Return how many bits each index of a table of so many rows gets.

    Those that blur share log2(rows) - 1 bits: all of them together leave, on average, at least two rows alike
    (CipherSweet's rule). Raises Telling when that is too little for an index to be of use.
    """
    blurring = [index for index in indexes if index.blurs]
    budget = log2(rows) - 1
    share = int(budget / len(blurring)) if blurring else 0
    bits = {i.name: min(i.bits, share) if i.blurs else i.bits for i in indexes}
    told = sum(min(bits[index.name], index.keyspace) for index in blurring)
    if told > budget or any(bits[index.name] < FEWEST_BITS for index in blurring):
        raise Telling(f"{len(blurring)} blurred indexes need more than {rows} rows to hide in")
    return bits


def irk_context(version: int) -> bytes:
    """Return what a wrapped root key is bound to."""
    return lp("confide/irk/v1", version.to_bytes(4, "big"))
