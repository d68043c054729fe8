"""What compliance staff may ask: the trail itself. Asking is an act of its own, and stands in the trail."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.audit import queries
from records.audit.queries import Filters
from records.clinic import Clinic


async def list_events(
    clinic: Clinic, me: Me, filters: Filters, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return a page of the ledger, newest first."""
    await clinic.gate.read(me, Action.SEARCH, Resource(ResourceType.AUDIT_EVENT))
    return await queries.find_events(clinic.database, filters, limit=limit, after=after)


async def read_event(clinic: Clinic, me: Me, event_id: UUID) -> Mapping[str, Any]:
    """Return one event of the ledger."""
    await clinic.gate.read(me, Action.READ, Resource(ResourceType.AUDIT_EVENT, id=event_id))
    return await queries.read_event(clinic.database, event_id)
