"""The sealer: gives every event of the ledger its place in the tree, and signs the tree's size and root.

There is one at a time: it holds an advisory lock on the connection that it writes with. Leaves, tree and checkpoint are one
transaction. Before its first signature it compares the stored tree with the last checkpoint in the database and with the
last in its own append-only file: it never signs a tree that is smaller than, or inconsistent with, one it has signed.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import structlog

from core.clock import now
from core.database import Database
from core.errors import Unavailable
from core.ids import new_id
from core.settings import Settings
from core.transparency.book import Book
from core.transparency.merkle import Growth, perfect
from core.transparency.notes import Checkpoint, Note, Signer, sealed_note
from core.transparency.tiles import HEIGHT
from records.audit.log_key import RETIRING, open_signer, present, retiring
from records.audit.tree import NEWEST, Incomplete, roots_of

ROLE: Final = "confide_sealer"
BOOK: Final = "sealer/checkpoints.ndjson"
BATCH: Final = 5_000
POLL: Final = 0.5
"""Seconds between looks for new events: they are sealed in a fraction of the five seconds promised."""
IDLE: Final = 60
"""Seconds after which a checkpoint is signed anew although nothing came: silence, too, is vouched for."""
PAUSE: Final = 1.0
_LOCK: Final = 6_962

_TAKE: Final = f"""
WITH taken AS (
  DELETE FROM audit.unsealed WHERE event_id IN (
    SELECT event_id FROM audit.unsealed ORDER BY event_id LIMIT {BATCH}) RETURNING event_id)
SELECT id, sha256('\\x00'::bytea || body) AS leaf_hash
FROM audit.event JOIN taken ON taken.event_id = event.id ORDER BY id
"""  # noqa: S608 - a constant
_LEAVES: Final = """
INSERT INTO audit.leaf (leaf_index, event_id, leaf_hash)
SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bytea[])
"""
_NODES: Final = """
INSERT INTO audit.tree_node (level, index, hash) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
"""
_CHECKPOINT: Final = """
INSERT INTO audit.checkpoint (id, size, note, signed_at) VALUES ($1, $2, $3, $4)
"""
_SIZE: Final = "SELECT count(*), coalesce(max(leaf_index) + 1, 0) AS size FROM audit.leaf WHERE leaf_index >= $1"

log = structlog.get_logger()


class Rewritten(Exception):
    """The stored log is not one that continues what was signed: nothing is signed until somebody has looked."""


class Sealer:
    """The tree at its present size, and the key that signs it, once together with the one it takes over from."""

    def __init__(self, signer: Signer, book: Book, clock: Callable[[], datetime] = now) -> None:
        self._signer = signer
        self._home = book.path.parents[1]
        self._retiring = retiring(self._home, signer)
        self._book = book
        self._clock = clock
        self._tree = Growth()
        self._signed_at: datetime | None = None

    async def resume(self, connection: Any) -> None:
        """Take up the stored tree; Rewritten if it does not continue what this sealer has signed."""
        row = await connection.fetchrow(NEWEST)
        size = row["size"] if row else 0
        try:
            await self._compare(connection, row["note"] if row else None, size)
            roots = await roots_of(
                connection, [(i << h, i + 1 << h) for h, i in perfect((0, size))]
            )
        except Incomplete:
            raise Rewritten("hashes of the signed tree are missing") from None
        self._tree = Growth(size, roots)
        self._signed_at = row["signed_at"] if row else None

    async def once(self, connection: Any) -> int:
        """Seal what is new, and sign; or sign anew after a minute's silence. Return how many events it sealed."""
        async with connection.transaction():
            rows = await connection.fetch(_TAKE)
            if not rows and not self._silent() and not self._retiring:
                return 0
            tree = Growth(self._tree.size, list(self._tree.roots))
            await _grow(connection, tree, rows)
            at = self._clock()
            text = str(Checkpoint(self._signer.name, tree.size, tree.root()))
            note = sealed_note(self._signer, text, int(at.timestamp()))
            note += self._retiring.sign(text) if self._retiring else ""
            await connection.execute(_CHECKPOINT, new_id(), tree.size, note, at)
        self._tree, self._signed_at = tree, at
        self._book.append(note)
        if self._retiring:
            (self._home / RETIRING).unlink()
            self._retiring = None
        return len(rows)

    def _silent(self) -> bool:
        return self._signed_at is None or (self._clock() - self._signed_at).total_seconds() >= IDLE

    async def _compare(self, connection: Any, note: str | None, size: int) -> None:
        """Hold the stored tree against the newest checkpoints of the database and of our own book."""
        stray = await connection.fetchrow(_SIZE, size)
        if stray["count"]:
            raise Rewritten("there are leaves that nobody signed")
        for signed in filter(None, (note, self._book.last())):
            parsed = Note.parse(signed)
            head = Checkpoint.parse(parsed.text)
            if not parsed.signed_by(self._signer.key):
                raise Rewritten("the log is signed by another key")
            if head.size > size:
                raise Rewritten("the log was longer once")
            if (await roots_of(connection, [(0, head.size)]))[0] != head.root:
                raise Rewritten("the log is not what was signed")


async def _grow(connection: Any, tree: Growth, rows: list[Any]) -> None:
    first, nodes = tree.size, list[tuple[int, int, bytes]]()
    for row in rows:
        grown = tree.add(row["leaf_hash"])
        nodes += [(h // HEIGHT, i, root) for (h, i), root in grown if h and h % HEIGHT == 0]
    indexes = list(range(first, tree.size))
    await connection.execute(
        _LEAVES, indexes, [r["id"] for r in rows], [r["leaf_hash"] for r in rows]
    )
    if nodes:
        await connection.execute(_NODES, *map(list, zip(*nodes, strict=True)))


async def serve_sealer(chosen: Settings) -> None:
    """Seal until stopped; what cannot be continued ends the process, with nothing signed."""
    database = Database(chosen.postgres_url, role=ROLE, size=1)
    while True:
        with suppress(Unavailable):
            await database.open()
            break
        await asyncio.sleep(PAUSE)
    while True:
        try:
            async with database.bare() as connection:
                await seal_until_changed(chosen.home, chosen.issuer, connection)
        except Unavailable as error:
            log.warning("sealer waits", error=type(error).__name__)
            await asyncio.sleep(PAUSE)
        except Rewritten as refusal:
            log.error("sealer refuses to sign", why=str(refusal), look="confide audit verify")
            await database.close()
            raise SystemExit(1) from None


async def seal_until_changed(home: Path, issuer: str, connection: Any) -> None:
    """Wait until no other sealer is at work, take up the tree and the key of now, and seal until there is a new key."""
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    signer = open_signer(home, issuer)
    sealer = Sealer(signer, Book(home / BOOK))
    await sealer.resume(connection)
    while present(home).id == signer.key.id:
        if await sealer.once(connection) < BATCH:
            await asyncio.sleep(POLL)
    await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
