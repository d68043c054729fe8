"""Pruning: after six years the bodies of a month's events may go. Their hashes stay, so every remaining proof holds.

The act is an event first, sealed before anything is removed: a verifier takes for pruned only what such an event covers, and
only if six years had passed by then. A legal hold on a person who has events in a month, under whichever id, keeps that month.
"""

import asyncio
from datetime import UTC, date, datetime
from time import monotonic
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.crypto.kek import KekProvider
from core.database import Database
from core.errors import Conflict, Invalid, Locked
from records.audit.commands import note_command
from records.audit.event import Act
from records.audit.verifier.pruning import FLOOR, statement

_PATIENCE: Final = 60.0
_MONTHS: Final = """
SELECT relname AS name FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'audit.event'::regclass AND relname ~ '^event_[0-9]{4}_[0-9]{2}$' ORDER BY relname
"""
_HELD: Final = """
WITH held AS (SELECT patient_id AS id FROM legal_hold WHERE lifted_at IS NULL
  UNION SELECT s.other_id FROM legal_hold AS h JOIN same_person AS s USING (patient_id) WHERE h.lifted_at IS NULL)
SELECT EXISTS (SELECT FROM audit.event JOIN held ON held.id = event.patient WHERE event.id < audit.lowest_id($1))
"""
_SEALED: Final = "SELECT EXISTS (SELECT FROM audit.leaf WHERE event_id = $1)"
_UNSEALED: Final = """
SELECT EXISTS (SELECT FROM audit.unsealed WHERE event_id < audit.lowest_id($1))
"""


async def prune(
    database: Database, keys: KekProvider, before: date, at: datetime | None = None
) -> list[str]:
    """Remove the bodies of whole months before a day; return the months. `database` is its owner's."""
    at, cutoff = at or now(), datetime(before.year, before.month, 1, tzinfo=UTC)
    if at - cutoff < FLOOR:
        raise Invalid("events are kept for six years at least", code="retention-floor")
    months = await _months_before(database, cutoff)
    if not months:
        return []
    await _let_go(database, cutoff)
    said = statement(cutoff)
    event = await note_command(database, keys, "confide audit prune", Act.PRUNE, reason=said, at=at)
    await _await_seal(database, event)
    async with database.bare() as connection, connection.transaction():
        for month in months:
            await connection.execute(f"DROP TABLE audit.{month}")  # a name that the catalogue gave
    return months


async def _months_before(database: Database, cutoff: datetime) -> list[str]:
    async with database.bare() as connection:
        names = [row["name"] for row in await connection.fetch(_MONTHS)]
    return [name for name in names if name < f"event_{cutoff:%Y_%m}"]


async def _let_go(database: Database, cutoff: datetime) -> None:
    """Return if nobody and nothing holds these months."""
    async with database.bare() as connection:
        if await connection.fetchval(_HELD, cutoff):
            raise Locked("a legal hold keeps events of that time", code="legal-hold")
        if await connection.fetchval(_UNSEALED, cutoff):
            raise Conflict("events of that time are not sealed yet", code="not-sealed")


async def _await_seal(database: Database, event: UUID) -> None:
    deadline = monotonic() + _PATIENCE
    while not await _sealed(database, event):
        if monotonic() > deadline:
            raise Conflict(
                "the pruning itself was not sealed: is the sealer at work?", code="not-sealed"
            )
        await asyncio.sleep(0.2)


async def _sealed(database: Database, event: UUID) -> Any:
    async with database.bare() as connection:
        return await connection.fetchval(_SEALED, event)
