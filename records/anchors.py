"""Anchors: the digest of every row that matters goes into the write's audit event, and so into the sealed log.

A row that is later put back to an older state, changed behind our back or taken away no longer is what its last event
says, and `confide verify records` names it. A row counts its own writes in `edition`, so that the last is known as such.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Table, text
from sqlmodel import Field, SQLModel

from core.database import pending

FOUND: Final = {"found": True}
"""The `info` of a column that is in no digest: what the database looks up or keeps itself, whoever writes the row."""
_ROWS: Final = "rows"
_OPTIONS: Final = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME


class Anchored(SQLModel):
    """A row whose every write is anchored in the log."""

    edition: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})


@dataclass(frozen=True, slots=True)
class Anchor:
    """What one write made of a row: its digest, or None where it was deleted."""

    table: str
    row_id: str
    edition: int
    digest: str | None


def anchor(table: Table, row: Mapping[str, Any], *, gone: bool = False) -> Anchor:
    """Return the anchor of a row; `gone` when it was deleted."""
    (key,) = table.primary_key
    digest = None if gone else row_digest(table, row)
    return Anchor(table.name, str(row[key.name]), row["edition"] + gone, digest)


def row_digest(table: Table, row: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of a row as it is stored, ciphertext and all.

    NULLs are left out: a column that is added later changes no digest.
    """
    values = ((name, row.get(name)) for name in _stated(table))
    image = {name: value for name, value in values if value is not None}
    return sha256(orjson.dumps([table.name, image], default=_plain, option=_OPTIONS)).hexdigest()


@cache
def _stated(table: Table) -> tuple[str, ...]:
    """Return the columns that whoever writes a row knows; `found` ones the statement itself looks up."""
    return tuple(c.name for c in table.columns if not c.info.get("found"))


def wrote(session: Any, table: Table, rows: Iterable[Mapping[str, Any]], **how: bool) -> None:
    """Remember rows just written, if their table is anchored, for the transaction's event."""
    if "edition" in table.columns:
        pending(session, _ROWS).extend(anchor(table, row, **how) for row in rows)


def taken(session: Any) -> list[Anchor]:
    """Return, and forget, what the transaction has written so far."""
    rows: list[Anchor] = pending(session, _ROWS)
    so_far = rows[:]
    rows.clear()
    return so_far


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID):  # the driver's own kind
        return str(value)
    raise TypeError
