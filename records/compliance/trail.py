"""What compliance staff may ask: the trail itself. Asking is an act of its own, and stands in the trail."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, select

from core.database import Query
from policies.explain import facts_of
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.models import PolicyRule
from records.audit import queries
from records.audit.queries import Filters
from records.base import table_of
from records.clinic import Clinic

_rule = table_of(PolicyRule).c
_RULE: Final = Query(
    select(_rule.id, _rule.tier, _rule.effect, _rule.condition, _rule.note).where(
        _rule.version == bindparam("version"), _rule.id == bindparam("rule")
    )
)


async def list_events(
    clinic: Clinic, me: Me, filters: Filters, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return a page of the ledger, newest first."""
    await clinic.gate.read(me, Action.SEARCH, Resource(ResourceType.AUDIT_EVENT))
    return await queries.find_events(clinic.database, filters, limit=limit, after=after)


async def read_event(clinic: Clinic, me: Me, event_id: UUID) -> Mapping[str, Any]:
    """Return one event of the ledger."""
    await clinic.gate.read(me, Action.READ, Resource(ResourceType.AUDIT_EVENT, id=event_id))
    event = await queries.read_event(clinic.database, event_id)
    decided = {"version": event["policy_version"], "rule": event["rule"]}
    rule = await clinic.database.one(_RULE, **decided) if event["rule"] else None
    if rule is None:
        return {**event, "explanation": None}
    facts = facts_of(rule["condition"], ResourceType(event["resource_type"]))
    return {**event, "explanation": {**rule, "version": event["policy_version"], "facts": facts}}
