"""The ledger: an event's exact bytes, with columns derived from them. Insert-only; a second delivery changes nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson
import structlog

from core.database import Database
from core.ids import new_id
from records.audit.batch import Sent
from records.audit.producers import Producers

ROLE: Final = "confide_ledger"
"""The database role of the writer: it may add events, and take what it added from the outbox."""

# No conflict target: naming one would need the right to read the ledger.
_STORE: Final = """
INSERT INTO audit.event (id, occurred_at, recorded_at, actor, action, outcome, purpose, patient,
                         resource_type, resource_ids, break_glass, body, request_id, boot, seq)
SELECT (j ->> 'id')::uuid, (j ->> 'occurred_at')::timestamptz, now(), (j ->> 'actor')::uuid,
       j ->> 'action', j ->> 'outcome', j ->> 'purpose', (j ->> 'patient')::uuid, j ->> 'resource_type',
       ARRAY(SELECT jsonb_array_elements_text(j -> 'resource_ids')::uuid),
       (j ->> 'break_glass')::boolean, b, j ->> 'request_id', (j ->> 'boot')::uuid, (j ->> 'seq')::bigint
FROM (SELECT b, convert_from(b, 'UTF8')::jsonb AS j FROM unnest($1::bytea[]) AS given (b)) AS events
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
_LEAVE: Final = "DELETE FROM audit.outbox WHERE event_id = ANY($1::uuid[])"

log = structlog.get_logger()


class Malformed(Exception):
    """A body is not an event of ours."""


async def accept(database: Database, known: Producers, batch: Sequence[Sent]) -> None:
    """Store what its producer made, and set apart what somebody else put into the outbox."""
    async with database.bare() as connection:
        await known.meet(connection, {boot for sent in batch if (boot := _boot(sent.body))})
        faults = {sent.event_id: fault for sent in batch if (fault := _fault(known, sent))}
        apart = [s for s in batch if s.event_id in faults]
        given = [(new_id(), s.event_id, faults[s.event_id], s.body) for s in apart]
        await connection.executemany(_SET_APART, given)
    if apart:
        log.error("events set apart", events=len(apart), faults=sorted(set(faults.values())))
    await store(database, [s.body for s in batch if s.event_id not in faults])


async def store(database: Database, bodies: Sequence[bytes]) -> None:
    """Move events into the ledger and out of the outbox, in one transaction: all of them or none."""
    ids = [_checked(body) for body in bodies]
    async with database.bare() as connection, connection.transaction():
        await connection.execute(_STORE, bodies)
        await connection.execute(_LEAVE, ids)


async def quarantine(database: Database, reason: str, events: int, content: bytes) -> None:
    """Keep the beginning of a batch that was refused, for somebody to look at."""
    async with database.bare() as connection:
        await connection.execute(_REFUSED, new_id(), reason, events, content)


def _fault(known: Producers, sent: Sent) -> str | None:
    """Return what is wrong with a row of the outbox, if anything is."""
    try:
        event_id = _checked(sent.body)
    except Malformed:
        return "malformed"
    boot = _boot(sent.body)
    sealed = boot is not None and known.sealed(boot, sent.body, sent.seal)
    return None if sealed and event_id == sent.event_id else "forged"


def _boot(body: bytes) -> UUID | None:
    """Return the producer that an event names."""
    try:
        return UUID(orjson.loads(body)["boot"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _checked(body: bytes) -> UUID:
    """Return the id of an event whose bytes are what its producer made, or raise Malformed."""
    try:
        event: dict[str, Any] = orjson.loads(body)
        datetime.fromisoformat(event["occurred_at"]).astimezone(UTC)
        if orjson.dumps(event, option=orjson.OPT_SORT_KEYS) != body:
            raise Malformed("not canonical")
        return UUID(event["id"])
    except (ValueError, KeyError, TypeError):
        raise Malformed("not an event") from None
