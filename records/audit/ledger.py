"""The ledger: an event's exact bytes, with columns derived from them. Insert-only; a second delivery changes nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
import structlog

from core.database import Database
from core.ids import new_id
from records.audit.batch import Sent
from records.audit.producers import Producers

ROLE: Final = "confide_ledger"
"""The database role of the writer: it may add events, and take what it added from the outbox."""

# One statement, and so one transaction. No conflict target: naming one would need the right to read the ledger. A function
# in FROM reads each body once; a subquery that makes JSON of it would be merged into this one, and read it for every column.
_MOVE: Final = """
WITH gone AS (DELETE FROM audit.outbox WHERE event_id = ANY($3::uuid[]))
INSERT INTO audit.event (id, occurred_at, recorded_at, actor, action, outcome, purpose, patient,
                         resource_type, resource_ids, break_glass, body, seal, request_id, boot, seq)
SELECT id, occurred_at, now(), actor, action, outcome, purpose, patient,
       resource_type, resource_ids, break_glass, body, seal, request_id, boot, seq
FROM unnest($1::bytea[], $2::bytea[]) AS given (body, seal), json_to_record(convert_from(body, 'UTF8')::json) AS event (
  id uuid, occurred_at timestamptz, actor uuid, action text, outcome text, purpose text, patient uuid,
  resource_type text, resource_ids uuid[], break_glass boolean, request_id text, boot uuid, seq bigint)
ON CONFLICT DO NOTHING
"""
_REFUSED: Final = """
INSERT INTO audit.quarantine (id, reason, events, digest, content, received_at)
VALUES ($1, $2, $3, sha256($4), substr($4, 1, 65536), now())
"""
# What has left the outbox was set apart before: a repeated message does not do it twice.
_SET_APART: Final = """
WITH gone AS (DELETE FROM audit.outbox WHERE event_id = $2 RETURNING event_id)
INSERT INTO audit.quarantine (id, reason, events, digest, content, received_at)
SELECT $1, $3, 1, sha256($4), substr($4, 1, 65536), now() FROM gone
"""

log = structlog.get_logger()
_uuid: Final = lru_cache(maxsize=256)(UUID)
"""Producers are few, and their events many."""


class Malformed(Exception):
    """A body is not an event of ours."""


class Name(NamedTuple):
    """An event and the run of the process that made it."""

    event_id: str
    boot: UUID | None


async def accept(database: Database, known: Producers, batch: Sequence[Sent]) -> None:
    """Store what its producer made, and set apart what somebody else put into the outbox."""
    names = [_named(sent.body) for sent in batch]
    async with database.bare() as connection:
        await known.meet(connection, {name.boot for name in names if name and name.boot})
        faults = [_fault(known, s, name) for s, name in zip(batch, names, strict=True)]
        apart = [(s, fault) for s, fault in zip(batch, faults, strict=True) if fault]
        if apart:
            given = [(new_id(), s.event_id, fault, s.body) for s, fault in apart]
            await connection.executemany(_SET_APART, given)
            kinds = sorted({fault for _, fault in apart})
            log.error("events set apart", events=len(apart), faults=kinds)
    good = [s for s, fault in zip(batch, faults, strict=True) if not fault]
    await _move(
        database, [s.event_id for s in good], [s.body for s in good], [s.seal for s in good]
    )


async def store(database: Database, bodies: Sequence[bytes]) -> None:
    """Move events into the ledger and out of the outbox, whoever made them, or raise Malformed."""
    names = [name for body in bodies if (name := _named(body))]
    if len(names) < len(bodies):
        raise Malformed("not an event")
    await _move(database, [name.event_id for name in names], bodies, [None] * len(bodies))


async def _move(
    database: Database, ids: Sequence[str], bodies: Sequence[bytes], seals: Sequence[bytes | None]
) -> None:
    """Put events into the ledger and take them from the outbox: all of them or none."""
    async with database.bare() as connection:
        await connection.execute(_MOVE, bodies, seals, ids)


async def quarantine(database: Database, reason: str, events: int, content: bytes) -> None:
    """Keep the beginning of a batch that was refused, for somebody to look at."""
    async with database.bare() as connection:
        await connection.execute(_REFUSED, new_id(), reason, events, content)


def _fault(known: Producers, sent: Sent, name: Name | None) -> str | None:
    """Return what is wrong with a row of the outbox, if anything is."""
    if name is None:
        return "malformed"
    sealed = name.boot is not None and known.sealed(name.boot, sent.body, sent.seal)
    return None if sealed and name.event_id == sent.event_id else "forged"


def _named(body: bytes) -> Name | None:
    """Return the id and the producer of an event, if its bytes are in the form that producers make."""
    try:
        event: dict[str, Any] = orjson.loads(body)
        datetime.fromisoformat(event["occurred_at"]).astimezone(UTC)
        boot = event.get("boot")
        name = Name(event["id"], _uuid(boot) if boot else None)
        return name if orjson.dumps(event, option=orjson.OPT_SORT_KEYS) == body else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
