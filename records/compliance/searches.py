"""Saved searches: filters of the trail under a name, for everybody who checks it. Using one is an event like any search."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Conflict, NotFound, PreconditionFailed
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.gate import HIDDEN
from records.access.me import Me
from records.audit.queries import Filters
from records.base import add, table_of
from records.clinic import Clinic
from records.compliance.models import SavedSearch
from records.meanings import meaning

_search: Final = table_of(SavedSearch).c


async def save(
    session: AsyncSession, clinic: Clinic, me: Me, name: str, filters: Filters
) -> Mapping[str, Any]:
    """Save a search; Conflict if the name is taken."""
    row = SavedSearch(name=name, filters=filters.as_json(), saved_by=me.subject.id)
    await clinic.gate.write(session, me, Action.SEARCH, _about(row.id))
    taken = Conflict("another search has this name", code="search-name-taken")
    with meaning(taken, "uq-saved-search-name"):
        await add(session, row)
    return row.model_dump()


async def list_searches(clinic: Clinic, me: Me) -> Sequence[Mapping[str, Any]]:
    """Return every saved search, by name."""
    await clinic.gate.read(me, Action.SEARCH, Resource(ResourceType.AUDIT_EVENT))
    return await clinic.database.select(select(*_search).order_by(_search.name))


async def read_search(clinic: Clinic, me: Me, search_id: UUID) -> Mapping[str, Any]:
    """Return one saved search."""
    await clinic.gate.read(me, Action.SEARCH, _about(search_id))
    rows = await clinic.database.select(select(*_search).where(_search.id == search_id))
    if not rows:
        raise NotFound(HIDDEN)
    return rows[0]


async def forget(
    session: AsyncSession, clinic: Clinic, me: Me, search_id: UUID, seen: int | None
) -> None:
    """Remove a saved search; PreconditionFailed if the caller has seen another version."""
    await clinic.gate.write(session, me, Action.SEARCH, _about(search_id))
    found = await session.execute(
        delete(SavedSearch).where(_search.id == search_id).returning(_search.version)
    )
    version = found.scalar_one_or_none()
    if version is None:
        raise NotFound(HIDDEN)
    if seen is not None and seen != version:
        raise PreconditionFailed("the search is another by now")


def _about(search_id: UUID) -> Resource:
    return Resource(ResourceType.AUDIT_EVENT, id=search_id)
