"""Services and locations: what the clinic offers, kept by who may and shown to everybody."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from core.errors import NotFound
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.listing import cut
from records.access.me import Me
from records.base import Executor, add, revise, table_of
from records.clinic import Clinic
from records.meanings import fitting
from records.scheduling.supply import Location, Service

Kind = type[Service] | type[Location]
_RESOURCE: Final[Mapping[Kind, ResourceType]] = {
    Service: ResourceType.SERVICE,
    Location: ResourceType.LOCATION,
}


async def add_item(session: Executor, clinic: Clinic, me: Me, item: Service | Location) -> None:
    """Add a service or a location; raise Invalid when it names a place that is not there."""
    resource = Resource(_RESOURCE[type(item)], id=item.id)
    await clinic.gate.write(session, me, Action.CREATE, resource)
    with fitting(type(item)):
        await add(session, item)


async def change_item(
    session: Executor,
    clinic: Clinic,
    me: Me,
    kind: Kind,
    item_id: UUID,
    version: int | None,
    values: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Change some fields, and return the whole. What is booked already keeps what it was booked with."""
    await clinic.gate.write(session, me, Action.UPDATE, Resource(_RESOURCE[kind], id=item_id))
    with fitting(kind):
        return await revise(session, kind, item_id, version, **values)


async def read_item(clinic: Clinic, me: Me, kind: Kind, item_id: UUID) -> Mapping[str, Any]:
    """Return one service or location, or raise NotFound."""
    await clinic.gate.require(me, Action.READ, Resource(_RESOURCE[kind], id=item_id))
    table = table_of(kind)
    rows = await clinic.database.select(select(table).where(table.c.id == item_id))
    if not rows:
        raise NotFound(f"there is no such {table.name}")
    return rows[0]


async def list_items(
    clinic: Clinic, me: Me, kind: Kind, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return the services or locations in use, oldest first, and where the next page starts."""
    await clinic.gate.require(me, Action.SEARCH, Resource(_RESOURCE[kind]))
    table = table_of(kind)
    statement = select(table).where(table.c.active).order_by(table.c.id).limit(limit + 1)
    if after:
        statement = statement.where(table.c.id > after)
    rows = await clinic.database.select(statement)
    return cut(rows, limit, "id")
