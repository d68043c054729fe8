"""Hand the live ledger, as the database holds it, to the verifier: in one snapshot, as a role that can only read."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

from core.crypto.kek import KekProvider
from core.database import Database
from core.transparency.book import Book
from core.transparency.notes import Key
from policies.vocabulary import Action
from records.audit.commands import note_command
from records.audit.producers import Producers
from records.audit.verifier import bundle
from records.audit.verifier.examination import Entry, Examination
from records.audit.verifier.findings import Kind, Report

ROLE: Final = "confide_auditor"
_AHEAD: Final = 2_000

_LEAVES: Final = """
SELECT leaf.leaf_index, leaf.event_id, leaf.leaf_hash, event.*
FROM audit.leaf LEFT JOIN audit.event ON event.id = leaf.event_id ORDER BY leaf.leaf_index
"""
_NOTES: Final = "SELECT note FROM audit.checkpoint ORDER BY size, id"
_NODES: Final = "SELECT level, index, hash FROM audit.tree_node"
# What waits for more than a minute is missing; what came a moment ago is on its way.
_LOOSE: Final = {
    Kind.UNLOGGED: """
        SELECT id FROM audit.event WHERE NOT EXISTS (SELECT FROM audit.leaf WHERE event_id = event.id)
        AND NOT EXISTS (SELECT FROM audit.unsealed WHERE event_id = event.id) ORDER BY id LIMIT 100""",
    Kind.EVENT: """
        SELECT event_id AS id FROM audit.unsealed
        WHERE NOT EXISTS (SELECT FROM audit.event WHERE event.id = event_id) LIMIT 100""",
    Kind.UNSEALED: """
        SELECT event_id AS id FROM audit.unsealed WHERE since < now() - interval '60 seconds' LIMIT 100""",
    Kind.WAITING: """
        SELECT event_id AS id FROM audit.outbox WHERE created_at < now() - interval '60 seconds' LIMIT 100""",
}


async def inspect(
    database: Database,
    key: Key,
    book: Book,
    seen: Iterable[str] = (),
    witness: Key | None = None,
    known: Producers | None = None,
) -> Report:
    """Examine the live ledger against its checkpoints, the sealer's own book, and what a witness has seen.

    With the producers' keys at hand, each event has to have its producer's seal, too: the sealer, which has no such
    key, gives a place to whatever stands in the ledger. A log may begin with events from before seals were kept: of these
    nothing can be said.
    """
    # The sealer writes into its book what is in the database already, so that what it signs from here on is in neither.
    signed, seen = list(book), list(seen)
    async with _snapshot(database) as connection:
        nodes = {(r["level"], r["index"]): r["hash"] for r in await connection.fetch(_NODES)}
        examination = Examination(key, nodes)
        examination.signed([r["note"] for r in await connection.fetch(_NOTES)], "database")
        examination.signed(signed, "sealer's file")
        examination.signed(seen, "witness", witness)
        unkept, kept = None, False
        async for row in connection.cursor(_LEAVES, prefetch=_AHEAD):
            columns = None if row["body"] is None else dict(row)
            entry = row["leaf_index"], str(row["event_id"]), row["leaf_hash"], row["body"], columns
            examination.entry(Entry(*entry))
            if known and columns and columns["seal"] is None and not kept:
                unkept = row["leaf_index"]
            elif known and columns:
                kept = True
                if not await _sealed(connection, known, columns):
                    examination.report.add(Kind.FORGED, row["leaf_index"], str(row["event_id"]))
        if unkept is not None:
            examination.report.add(Kind.UNKEPT, unkept, "this and those before it")
        report = examination.end()
        for kind, query in _LOOSE.items():
            for row in await connection.fetch(query):
                report.add(kind, None, str(row["id"]))
    return report


async def _sealed(connection: Any, known: Producers, event: Mapping[str, Any]) -> bool:
    """Tell whether an event of the ledger has the seal of the producer that it names."""
    boot, seal = event["boot"], event["seal"]
    if boot is None or seal is None:
        return False
    await known.meet(connection, [boot])
    return known.sealed(boot, event["body"], seal)


async def export(database: Database, keys: KekProvider, key: Key, target: Path) -> int:
    """Write the whole log as a bundle, which is an event first; return how many events are in it."""
    await note_command(database, keys, "confide audit export-bundle", Action.EXPORT)
    count = 0
    with TemporaryFile(dir=target.parent) as lines, target.open("wb") as file:
        async with _snapshot(database) as connection:
            notes = [r["note"] for r in await connection.fetch(_NOTES)]
            async for row in connection.cursor(_LEAVES, prefetch=_AHEAD):
                entry = row["leaf_index"], str(row["event_id"]), row["leaf_hash"], row["body"]
                lines.write(bundle.line(*entry).encode())
                count += 1
        about = {"size": count}
        bundle.write(file, key=str(key), notes=notes, entries=lines, whole=True, about=about)
    return count


@asynccontextmanager
async def _snapshot(database: Database) -> AsyncIterator[Any]:
    async with (
        database.bare() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield connection
