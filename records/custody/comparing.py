"""Comparing every row with the log: what was put back, changed behind our back, taken away or put in is named.

Each write event says what it made of which row (`records.anchors`); the last one of a row must be what stands there. Both are
read in one snapshot, sorted alike, so that the two streams meet row by row: memory does not grow, and a write that
commits meanwhile is seen with its event or not at all. Whether the log itself is whole, `confide audit verify` says.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Table

from core.crypto.kek import KekProvider
from core.database import Database
from records.anchors import row_digest
from records.audit.producers import Producers
from records.audit.verifier.pruning import covered
from records.base import metadata
from records.custody.tampering import Comparison, Kind

ROLE: Final = "confide_verifier"
_AHEAD: Final = 500

_MARK: Final = """position('"rows":[['::bytea in body) > 0"""
# Names and ids sort by their bytes on both sides, whatever the database's language is.
_ANCHORS: Final = f"""
SELECT (a ->> 0) COLLATE "C" AS name, (a ->> 1) COLLATE "C" AS row_id, (a ->> 2)::int AS edition, a ->> 3 AS digest,
       event_id, at, leaf_index, sound, unproven, seal
FROM (
  SELECT id AS event_id, body, occurred_at AS at, leaf_index, NULL::bytea AS unproven, NULL::bytea AS seal,
         leaf_hash IS NULL OR leaf_hash = sha256('\\x00'::bytea || body) AS sound
  FROM audit.event LEFT JOIN audit.leaf ON leaf.event_id = event.id WHERE {_MARK}
  UNION ALL
  SELECT event_id, body, created_at, NULL, body, seal, true FROM audit.outbox WHERE {_MARK}
) AS events, jsonb_array_elements(convert_from(body, 'UTF8')::jsonb -> 'rows') AS a
ORDER BY name, row_id, edition, event_id
"""  # noqa: S608 - a constant
_BOOTS: Final = f"""
SELECT DISTINCT (convert_from(body, 'UTF8')::jsonb ->> 'boot')::uuid AS boot FROM audit.outbox WHERE {_MARK}
"""  # noqa: S608 - a constant
_PRUNED: Final = "SELECT body FROM audit.event WHERE action = 'prune'"

Progress = Callable[[str, int, int], None]
"""Hears which table, how many rows were compared so far, and how many there are in all."""


@dataclass(frozen=True, slots=True)
class Live:
    """A row as it stands."""

    place: tuple[str, str]
    edition: int
    digest: str
    created: datetime | None


def anchored() -> Sequence[Table]:
    """Return the tables whose rows are anchored, in the order of their names. All tables must be loaded."""
    return sorted((t for t in metadata.tables.values() if "edition" in t.c), key=lambda t: t.name)


async def compare(
    database: Database, keys: KekProvider, progress: Progress = lambda *_: None
) -> Comparison:
    """Compare all rows with what the log says of them."""
    async with (
        database.bare() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        producers, report = Producers(keys), Comparison(await _pruned_before(connection))
        await producers.meet(connection, [r["boot"] for r in await connection.fetch(_BOOTS)])
        written, rows = _written(connection, producers), _rows(connection, progress)
        told, row = await anext(written, None), await anext(rows, None)
        while told or row:
            place = min(one for one in (told and _place(told), row and row.place) if one)
            said = []
            while told and _place(told) == place:
                said.append(told)
                told = await anext(written, None)
            here = row if row and row.place == place else None
            _judge(report, place, said, here)
            if here:
                row = await anext(rows, None)
    return report


def _judge(
    report: Comparison, place: tuple[str, str], said: Sequence[Any], row: Live | None
) -> None:
    """Hold a row against all that was ever written of it, the last write last."""
    report.rows += row is not None
    for event in said:
        if not event["sound"]:
            report.add(Kind.EVENT, place, event, event)
    if not said:
        assert row is not None
        report.unheard(place, row.created)
        return
    for before, after in pairwise(said):
        if before["edition"] == after["edition"] and before["digest"] != after["digest"]:
            report.add(Kind.FORKED, place, before, after)
    last = said[-1]
    if row is None:
        if last["digest"]:
            report.add(Kind.MISSING, place, None, last)
    elif row.digest != last["digest"]:
        older = [e for e in said if (e["edition"], e["digest"]) == (row.edition, row.digest)]
        kind = Kind.RETURNED if last["digest"] is None else Kind.OLDER if older else Kind.ALTERED
        report.add(kind, place, older[-1] if older else None, last)


async def _written(connection: Any, producers: Producers) -> AsyncIterator[Any]:
    """Yield what events say of rows; those on their way to the ledger only if their producer made them."""
    async for row in connection.cursor(_ANCHORS, prefetch=_AHEAD):
        if row["seal"] is None or _made(producers, row["unproven"], row["seal"]):
            yield row


def _made(producers: Producers, body: bytes, seal: bytes) -> bool:
    boot = orjson.loads(body)["boot"]
    return boot is not None and producers.sealed(UUID(boot), body, seal)


async def _rows(connection: Any, progress: Progress) -> AsyncIterator[Live]:
    tables, done = anchored(), 0
    counts = ", ".join(f"(SELECT count(*) FROM {table.name})" for table in tables)  # noqa: S608
    total = sum(await connection.fetchrow(f"SELECT {counts}"))
    for table in tables:
        (key,) = table.primary_key
        ordered = f'SELECT * FROM {table.name} ORDER BY {key.name}::text COLLATE "C"'  # noqa: S608
        async for row in connection.cursor(ordered, prefetch=_AHEAD):
            place = table.name, str(row[key.name])
            yield Live(place, row["edition"], row_digest(table, row), row.get("created_at"))
            done += 1
            if done % _AHEAD == 0:
                progress(table.name, done, total)
        progress(table.name, done, total)


def _place(told: Any) -> tuple[str, str]:
    return told["name"], told["row_id"]


async def _pruned_before(connection: Any) -> datetime | None:
    """Return the moment before which events are gone by our own act; None if none are."""
    bodies = await connection.fetch(_PRUNED)
    bounds = [bound for r in bodies if (bound := covered(orjson.loads(r["body"])))]
    if not bounds:
        return None
    return datetime.fromtimestamp(int(max(bounds).replace("-", "")[:12], 16) / 1000, UTC)
