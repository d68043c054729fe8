"""Counters that all processes share, by key in windows of time: one statement a count, committed whatever comes after.

For what is rare or costly anyway: tries to log in, searches for patients, answers that there is no such thing. What a
key stands for is hashed. The table is not logged: after a crash of the database everybody starts anew.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil
from typing import Any

from sqlalchemy import CheckConstraint, case, delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel

from core.database import Database
from core.windows import Limit, Standing
from records.base import moment, table_of


class Tally(SQLModel, table=True):
    """A counter of tries or requests in a window of time, which all processes share. `key` is a hash."""

    __tablename__ = "tally"
    __table_args__ = (
        CheckConstraint("octet_length(key) = 32", name="hashed"),
        {"prefixes": ["UNLOGGED"]},
    )

    key: bytes = Field(primary_key=True)
    count: int
    ends_at: datetime = moment()


_tally = table_of(Tally)


def key(*parts: bytes) -> bytes:
    """Return a key of these parts."""
    return sha256(b"".join(len(part).to_bytes(4) + part for part in parts)).digest()


async def hit(database: Database, limits: Mapping[bytes, Limit]) -> Mapping[bytes, Standing]:
    """Count one for each key, before it is known what becomes of it; return where each stands in its window."""
    ends = {k: func.now() + timedelta(seconds=limits[k].seconds) for k in limits}
    rows = [
        {"key": k, "count": 1, "ends_at": ends[k]} for k in sorted(limits)
    ]  # one order: no deadlock
    new = insert(_tally).values(rows)
    over = _tally.c.ends_at <= func.now()
    statement = new.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "count": case((over, 1), else_=_tally.c.count + 1),
            "ends_at": case((over, new.excluded.ends_at), else_=_tally.c.ends_at),
        },
    ).returning(_tally.c.key, _tally.c.count, _tally.c.ends_at, func.now().label("at"))
    found = await database.select(statement)
    return {row["key"]: _standing(limits[row["key"]], row) for row in found}


async def forget(database: Database, counted: bytes) -> None:
    """Begin anew for a key."""
    gone = delete(_tally).where(_tally.c.key == counted).returning(_tally.c.key)
    await database.select(gone)


def _standing(limit: Limit, row: Mapping[str, Any]) -> Standing:
    left: timedelta = row["ends_at"] - row["at"]
    return Standing(limit, limit.amount - row["count"], max(1, ceil(left.total_seconds())))
