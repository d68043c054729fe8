"""Proofs that travel: events of the log with what shows, without a server, that they are in it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from core.database import Database
from core.errors import NotFound
from core.transparency.merkle import inclusion_spans
from core.transparency.proofs import Proof
from records.audit import tree
from records.audit.verifier import bundle

_ENTRIES: Final = """
SELECT leaf_index, event_id, leaf_hash, body FROM audit.leaf JOIN audit.event ON event.id = event_id
WHERE event_id = ANY($1::uuid[]) AND leaf_index < $2 ORDER BY leaf_index
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What shows that one event is in the log: its bytes, its place, and the proof."""

    entry: str
    leaf_index: int
    proof: str
    line: str
    """The same as a line of a bundle."""


async def evidence(
    database: Database, event_ids: Collection[UUID]
) -> tuple[str | None, Mapping[UUID, Evidence]]:
    """Return the newest checkpoint, and for each event under it the evidence; events of this moment have none yet."""
    async with database.bare() as connection:
        try:
            head = await tree.newest(connection)
        except NotFound:
            return None, {}
        rows = await connection.fetch(_ENTRIES, list(event_ids), head["size"])
        proofs = await proofs_of(connection, rows, head["size"])
    found = zip(rows, proofs, strict=True)
    return head["note"], {row["event_id"]: _evidence(row, p, head["note"]) for row, p in found}


async def proofs_of(
    connection: Any, rows: Sequence[Mapping[str, Any]], size: int
) -> list[list[bytes]]:
    """Return the inclusion proof of each leaf, with the subtrees they share fetched once."""
    spans = [inclusion_spans(row["leaf_index"], size) for row in rows]
    roots = iter(await tree.roots_of_many(connection, [s for each in spans for s in each]))
    return [[next(roots) for _ in each] for each in spans]


def line_of(row: Mapping[str, Any], proof: Sequence[bytes]) -> str:
    """Return a leaf and its event as a line of a bundle."""
    event_id, leaf = str(row["event_id"]), row["leaf_hash"]
    return bundle.line(row["leaf_index"], event_id, leaf, row["body"], proof)


def _evidence(row: Mapping[str, Any], proof: Sequence[bytes], note: str) -> Evidence:
    index, entry = row["leaf_index"], row["body"].decode()
    return Evidence(entry, index, str(Proof(index, proof, note)), line_of(row, proof))
