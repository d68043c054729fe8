"""Would it have been decided otherwise? Recent decisions of the ledger, decided again by two versions of the rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select

from core.database import Database
from policies.enforcer import PolicySnapshot
from policies.facts import Environment
from policies.vocabulary import Action, Outcome, Purpose, ResourceType
from records.access.me import Me
from records.audit.models import AuditEvent
from records.base import table_of
from records.governance import sight

MOST: Final = 5_000
"""Acts that are replayed at most, newest first."""
SHOWN: Final = 50

_event = table_of(AuditEvent).c


@dataclass(frozen=True, slots=True)
class Flip:
    """An act that somebody lately tried, and that the new rules decide otherwise."""

    account_id: UUID
    action: Action
    kind: ResourceType
    resource_id: UUID
    before: Outcome
    after: Outcome
    rule: str | None


@dataclass(slots=True)
class Replay:
    """What came of it. `skipped`: who asked or what was asked for is no longer there."""

    days: int
    replayed: int = 0
    skipped: int = 0
    newly_allowed: int = 0
    newly_denied: int = 0
    flips: list[Flip] = field(default_factory=list)


async def replay(
    database: Database, people: Sequence[Me], old: PolicySnapshot, new: PolicySnapshot, days: int
) -> Replay:
    """Decide again, on the facts of today, what was tried in the last days."""
    found, known = Replay(days), {me.subject.id: me for me in people}
    acts = await database.select(_acts(days))
    alike = itemgetter("actor", "kind", "purpose")
    for (actor, kind, purpose), group in groupby(acts, key=alike):
        tried, known_as = list(group), known.get(actor)
        if known_as is None:
            found.skipped += len(tried)
            continue
        me = replace(known_as, environment=Environment(Purpose(purpose)))
        await _again(database, me, ResourceType(kind), tried, old, new, found)
    return found


async def _again(
    database: Database,
    me: Me,
    kind: ResourceType,
    tried: Sequence[Mapping[str, Any]],
    old: PolicySnapshot,
    new: PolicySnapshot,
    found: Replay,
) -> None:
    things = await sight.facts(database, me, kind, {act["resource_id"] for act in tried})
    for act in tried:
        thing = things.get(act["resource_id"])
        if thing is None:
            found.skipped += 1
            continue
        action = Action.READ if act["action"] == Action.SEARCH else Action(act["action"])
        was, will = (s.decide(me.subject, action, thing, me.environment) for s in (old, new))
        found.replayed += 1
        if was.allowed is will.allowed:
            continue
        found.newly_allowed += will.allowed
        found.newly_denied += was.allowed
        if len(found.flips) < SHOWN:
            flip = (me.subject.id, action, kind, act["resource_id"], was.outcome, will.outcome)
            found.flips.append(Flip(*flip, will.rule_id))


def _acts(days: int) -> Any:
    """Select who tried what with which row, and why: each once, by person, kind and purpose."""
    row = func.unnest(_event.resource_ids).label("resource_id")
    lately = (
        select(_event.actor, _event.action, _event.purpose, _event.resource_type.label("kind"), row)
        .where(
            _event.occurred_at > func.now() - timedelta(days=days),
            _event.actor.is_not(None),
            _event.resource_type.in_(list(sight.PROTECTED)),
            _event.action.in_(list(Action)),
            _event.purpose.in_(list(Purpose)),
        )
        .order_by(_event.id.desc())
        .limit(MOST)
        .subquery()
    )
    return select(lately).distinct().order_by(lately.c.actor, lately.c.kind, lately.c.purpose)
