"""What the way to the ledger met (refused batches, missing numbers), and when the log was last verified."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, column, select, table
from sqlmodel import Field, SQLModel

from core.database import Database, Query
from records.audit.models import SCHEMA
from records.base import Row, add, moment, word


class Quarantine(Row, table=True):
    """A batch that was not stored: its MAC was forged, or it held no events. The beginning of it is kept."""

    __tablename__ = "quarantine"
    __table_args__ = ({"schema": SCHEMA},)

    reason: str = word()
    events: int
    digest: bytes
    content: bytes
    received_at: datetime = moment(default=True)


class Gap(SQLModel, table=True):
    """Numbers of one producer that neither the ledger nor the outbox has. It closes when they turn up."""

    __tablename__ = "gap"
    __table_args__ = ({"schema": SCHEMA},)

    boot: UUID = Field(primary_key=True)
    first: int = Field(
        primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False}
    )
    last: int = Field(sa_type=BigInteger)
    found_at: datetime = moment(default=True)
    closed_at: datetime | None = moment(nullable=True)


class Verification(Row, table=True):
    """The live log was verified: what came of it (`Verdict`), and how many events it had."""

    __tablename__ = "verification"
    __table_args__ = ({"schema": SCHEMA},)

    verdict: int
    size: int = Field(sa_type=BigInteger)
    done_at: datetime = moment(default=True)


# A view of the owner's: it counts what its reader may not read.
GAUGES: Final = {
    "outbox": "Events that are durable and not in the ledger yet",
    "outbox_seconds": "Age of the oldest of them",
    "seal_seconds": "Age of the oldest event of the ledger that is not sealed",
    "quarantined": "Batches that were refused, and not reviewed yet",
    "missing": "Numbers of producers that are missing, and not reviewed yet",
    "verified_seconds": "Age of the last verification of the live log that found it good",
}
_GAUGES: Final = Query(select(*map(column, GAUGES)).select_from(table("gauge", schema=SCHEMA)))


async def keep_verification(database: Database, verdict: int, size: int) -> None:
    """Remember that the live log was verified, and what came of it."""
    found = Verification(verdict=verdict, size=size)
    async with database.transaction() as session:
        await add(session, found)


async def gauges(database: Database) -> Mapping[str, float]:
    """Return how the way to the ledger is, by the names in GAUGES."""
    row = await database.one(_GAUGES)
    assert row is not None
    return {name: float(row[name]) for name in GAUGES}
