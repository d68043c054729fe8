"""Asking the ledger: filters in any combination, newest first, by keyset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final, Self
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Select, and_, select

from core.database import Database
from core.errors import NotFound
from core.ids import first_id
from records.audit.models import AuditEvent
from records.base import table_of

_event = table_of(AuditEvent).c
_SLACK: Final = timedelta(hours=1)
"""An event is given its id and its time within moments of each other; the index and the partitions know its id."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look for; None is no restriction. `since` and `until` bound when the act happened: [since, until)."""

    actor: UUID | None = None
    patient: UUID | None = None
    action: str | None = None
    outcome: str | None = None
    resource_type: str | None = None
    resource_id: UUID | None = None
    purpose: str | None = None
    break_glass: bool | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def terms(self) -> list[ColumnElement[bool]]:
        """Return the WHERE terms of the restrictions given."""
        given = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        return [_TERMS.get(name, _equal(name))(value) for name, value in given.items()]

    def as_json(self) -> dict[str, Any]:
        """Return the restrictions given, as JSON can hold them."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {n: _plain(v) for n, v in given.items() if v is not None}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Return what `as_json` was called on."""
        return cls(**{name: _READ.get(name, _same)(value) for name, value in stored.items()})


def _plain(value: Any) -> Any:
    return (
        value.isoformat()
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, UUID)
        else value
    )


def _same(value: Any) -> Any:
    return value


_READ: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("actor", "patient", "resource_id"), UUID),
    **dict.fromkeys(("since", "until"), datetime.fromisoformat),
}


def _equal(name: str) -> Any:
    return lambda value: _event[name] == value


_TERMS: Final[Mapping[str, Any]] = {
    "resource_id": lambda value: _event.resource_ids.contains([value]),
    "since": lambda value: and_(_event.occurred_at >= value, _event.id >= first_id(value - _SLACK)),
    "until": lambda value: and_(_event.occurred_at < value, _event.id < first_id(value + _SLACK)),
}


async def find_events(
    database: Database, filters: Filters, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return events, newest first, and where the next page starts."""
    statement = select(_event.id, _event.recorded_at, _event.body).where(*filters.terms())
    if after:
        statement = statement.where(_event.id < after)
    if (
        filters.resource_id
    ):  # else PostgreSQL walks the whole trail in order, hoping to meet it soon
        statement = select(statement.cte("found").prefix_with("MATERIALIZED"))
    rows = await database.select(statement.order_by(_newest(statement)).limit(limit + 1))
    events = [_shown(row) for row in rows[:limit]]
    return events, rows[limit - 1]["id"] if len(rows) > limit else None


def _newest(statement: Select[Any]) -> ColumnElement[Any]:
    return statement.selected_columns["id"].desc()


async def read_event(database: Database, event_id: UUID) -> Mapping[str, Any]:
    """Return one event, or raise NotFound."""
    statement = select(_event.recorded_at, _event.body).where(_event.id == event_id)
    rows = await database.select(statement)
    if not rows:
        raise NotFound("there is no such event in the ledger (yet)")
    return _shown(rows[0])


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**orjson.loads(row["body"]), "recorded_at": row["recorded_at"]}
