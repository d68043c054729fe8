"""The sealed log as the database holds it: hashes of spans, proofs, tiles, and the newest checkpoint."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from core.database import Database
from core.errors import BadRequest, FieldError, NotFound
from core.transparency import tiles
from core.transparency.merkle import (
    Node,
    Span,
    consistency_spans,
    folded,
    inclusion_spans,
    perfect,
    perfect_root,
)
from core.transparency.proofs import Proof

_HASHES: Final = """
SELECT wanted.n, found.hash
FROM unnest($1::int[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS wanted (level, start, stop, n)
CROSS JOIN LATERAL (
  SELECT leaf_index AS index, leaf_hash AS hash FROM audit.leaf
  WHERE wanted.level = 0 AND leaf_index >= wanted.start AND leaf_index < wanted.stop
  UNION ALL
  SELECT index, hash FROM audit.tree_node
  WHERE level = wanted.level AND index >= wanted.start AND index < wanted.stop
) AS found
ORDER BY wanted.n, found.index
"""
_AT_ONCE: Final = 500
"""Subtrees fetched at once; each has up to 128 hashes."""
NEWEST: Final = (
    "SELECT size, note, signed_at FROM audit.checkpoint ORDER BY size DESC, id DESC LIMIT 1"
)
_PLACE: Final = "SELECT leaf_index FROM audit.leaf WHERE event_id = $1"
_ENTRIES: Final = """
SELECT event.body FROM audit.leaf LEFT JOIN audit.event ON event.id = leaf.event_id
WHERE leaf_index >= $1 AND leaf_index < $2 ORDER BY leaf_index
"""


class Incomplete(Exception):
    """A hash that the tree must have is not stored."""


async def hashes_of(connection: Any, stored: Sequence[tuple[int, Span]]) -> list[list[bytes]]:
    """Return the hashes of each (level, span) asked for; Incomplete when one is missing."""
    levels, spans = [level for level, _ in stored], [span for _, span in stored]
    starts, stops = [start for start, _ in spans], [stop for _, stop in spans]
    rows = await connection.fetch(_HASHES, levels, starts, stops)
    by_number = {n: [r["hash"] for r in g] for n, g in groupby(rows, key=itemgetter("n"))}
    found = [by_number.get(n, []) for n in range(1, len(stored) + 1)]
    if any(len(h) != stop - start for h, (start, stop) in zip(found, spans, strict=True)):
        raise Incomplete
    return found


async def roots_of(connection: Any, spans: Sequence[Span]) -> list[bytes]:
    """Return the root over each span of leaves, in one query."""
    nodes = [list(perfect(span)) for span in spans]
    stored = [tiles.stored_at(node) for each in nodes for node in each]
    roots = iter([perfect_root(h) for h in await hashes_of(connection, stored)] if stored else [])
    return [folded([next(roots) for _ in each]) for each in nodes]


async def roots_of_many(connection: Any, spans: Sequence[Span]) -> list[bytes]:
    """Return what `roots_of` does, for thousands of spans that have most of their subtrees in common."""
    nodes = [list(perfect(span)) for span in spans]
    needed = list({node for each in nodes for node in each})
    found = dict[Node, bytes]()
    for i in range(0, len(needed), _AT_ONCE):
        some = needed[i : i + _AT_ONCE]
        hashes = await hashes_of(connection, [tiles.stored_at(node) for node in some])
        found |= {node: perfect_root(h) for node, h in zip(some, hashes, strict=True)}
    return [folded([found[node] for node in each]) for each in nodes]


async def newest_checkpoint(database: Database) -> str:
    """Return the newest signed checkpoint; NotFound before the first."""
    async with database.bare() as connection:
        return str((await newest(connection))["note"])


async def proof_of(database: Database, event_id: UUID) -> Proof:
    """Return the proof that an event is in the log; NotFound for one that is not sealed (yet)."""
    async with database.bare() as connection:
        index = await connection.fetchval(_PLACE, event_id)
        if index is None:
            raise NotFound("no such event is sealed (yet)")
        head = await newest(connection)
        hashes = await roots_of(connection, inclusion_spans(index, head["size"]))
    return Proof(index, hashes, head["note"])


async def consistency(database: Database, old: int, new: int | None) -> dict[str, Any]:
    """Return the proof that the log of `old` events is a beginning of the one of `new` (or of the newest checkpoint)."""
    async with database.bare() as connection:
        size = (await newest(connection))["size"]
        new = size if new is None else new
        if not 0 < old <= new <= size:
            message = "it must be 1 ≤ old ≤ new ≤ the size of the newest checkpoint"
            raise BadRequest(code="bad-parameter", errors=[FieldError("/old", "sizes", message)])
        spans = [(0, old), (0, new), *consistency_spans(old, new)]
        old_root, new_root, *proof = await roots_of(connection, spans)
    return {"old": old, "new": new, "old_root": old_root, "new_root": new_root, "proof": proof}


async def tile(database: Database, level: int, path: str) -> bytes:
    """Return a tile's hashes; NotFound where the log does not reach."""
    async with database.bare() as connection:
        span = await _within(connection, level, path)
        return b"".join((await hashes_of(connection, [(level, span)]))[0])


async def entries(database: Database, path: str) -> bytes:
    """Return a bundle of entries; NotFound where the log does not reach, or where its bodies were pruned."""
    async with database.bare() as connection:
        start, stop = await _within(connection, 0, path)
        bodies = [row["body"] for row in await connection.fetch(_ENTRIES, start, stop)]
    if None in bodies:
        raise NotFound("these entries were pruned; their hashes stay")
    return tiles.entry_bundle(bodies)


async def _within(connection: Any, level: int, path: str) -> Span:
    try:
        span = tiles.tile_span(path)
    except ValueError:
        raise NotFound("no tile has such a path") from None
    if span[1] > tiles.width_at(level, (await newest(connection))["size"]):
        raise NotFound("the log does not reach so far")
    return span


async def newest(connection: Any) -> Any:
    """Return the row of the newest checkpoint; NotFound before the first."""
    row = await connection.fetchrow(NEWEST)
    if row is None:
        raise NotFound("nothing is sealed yet")
    return row
