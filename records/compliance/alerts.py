"""Alerts: what the rules find in the trail, and what a reviewer makes of it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from core.database import Database
from core.errors import Conflict, NotFound
from core.ids import new_id
from core.settings import settings
from policies.facts import Resource
from policies.vocabulary import KEEPERS, ROLE_GROUPS, Action, ResourceType
from records.access.gate import HIDDEN
from records.access.me import Me
from records.base import table_of
from records.clinic import Clinic
from records.compliance.models import Alert, AlertState, Resolution
from records.compliance.rules import MEANING, RECENT, RULES

_alert: Final = table_of(Alert).c
_TELL: Final = """
INSERT INTO audit.alert (id, rule, key, actor, patient, events, count, state, version, found_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', 1, now())
ON CONFLICT (rule, key) DO UPDATE SET events = excluded.events, count = excluded.count
WHERE alert.state <> 'resolved'
"""
_GROUPS: Final = [sorted(g) for g in (ROLE_GROUPS["staff"], ROLE_GROUPS["clinician"], KEEPERS)]


async def look(database: Database) -> None:
    """Run every rule; what it finds is an alert, unless it is one already."""
    known = (*_GROUPS, timedelta(days=settings().treatment_days))
    async with database.bare() as connection, connection.transaction():
        await connection.execute(RECENT)
        for rule, query in ((rule, q) for rule, queries in RULES.items() for q in queries):
            found = await connection.fetch(query, *(known if "$1" in query else ()))
            await connection.executemany(_TELL, [(new_id(), rule, *row.values()) for row in found])


async def list_alerts(
    clinic: Clinic, me: Me, wanted: Mapping[str, Any], *, limit: int, after: UUID | None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return a page of alerts, newest first, of the state, rule, actor or patient wanted."""
    await clinic.gate.read(me, Action.SEARCH, Resource(ResourceType.ALERT))
    terms = [_alert[name] == value for name, value in wanted.items() if value is not None]
    if after:
        terms.append(_alert.id < after)
    found = select(*_alert).where(*terms).order_by(_alert.id.desc()).limit(limit + 1)
    rows = await clinic.database.select(found)
    return [_shown(r) for r in rows[:limit]], rows[limit - 1]["id"] if len(rows) > limit else None


async def read_alert(clinic: Clinic, me: Me, alert_id: UUID) -> Mapping[str, Any]:
    """Return one alert."""
    await clinic.gate.read(me, Action.READ, Resource(ResourceType.ALERT, id=alert_id))
    rows = await clinic.database.select(select(*_alert).where(_alert.id == alert_id))
    if not rows:
        raise NotFound(HIDDEN)
    return _shown(rows[0])


async def assign(
    session: AsyncSession, clinic: Clinic, me: Me, alert_id: UUID, assignee: UUID
) -> Mapping[str, Any]:
    """Give an alert to somebody who looks into it."""
    values = {"state": AlertState.ASSIGNED, "assignee": assignee}
    return await _change(session, clinic, me, alert_id, values)


async def resolve(
    session: AsyncSession,
    clinic: Clinic,
    me: Me,
    alert_id: UUID,
    resolution: Resolution,
    reason: str,
) -> Mapping[str, Any]:
    """Say what a review came to, and why. It is final."""
    values = {
        "state": AlertState.RESOLVED,
        "resolution": resolution,
        "reason": reason,
        "resolved_at": now(),
    }
    return await _change(session, clinic, me, alert_id, values)


async def _change(
    session: AsyncSession, clinic: Clinic, me: Me, alert_id: UUID, values: Mapping[str, Any]
) -> Mapping[str, Any]:
    await clinic.gate.write(session, me, Action.UPDATE, Resource(ResourceType.ALERT, id=alert_id))
    found = await session.execute(select(*_alert).where(_alert.id == alert_id).with_for_update())
    row = found.mappings().first()
    if row is None:
        raise NotFound(HIDDEN)
    if row["state"] == AlertState.RESOLVED:
        raise Conflict("the alert is resolved", code="alert-resolved")
    if row["actor"] == me.subject.id:
        raise Conflict("nobody reviews an alert about themselves", code="own-alert")
    changed = {**values, "version": row["version"] + 1}
    await session.execute(update(Alert).where(_alert.id == alert_id).values(changed))
    return _shown({**row, **changed})


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**row, "meaning": MEANING.get(row["rule"], "")}
