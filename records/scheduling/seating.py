"""Where a visit may sit: which rooms, and which lane of a group visit. Free a moment ago; the INSERT is the judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import Text, and_, bindparam, or_, select, text

from core.database import Query, Session, Store
from core.errors import FieldError, Invalid
from records.base import table_of
from records.people.coverages import day_of, insured
from records.scheduling.models import BLOCKING, Appointment
from records.scheduling.supply import Location, LocationKind
from records.scheduling.terms import Terms, session_name

_visit, _place = table_of(Appointment).c, table_of(Location).c
_BLOCKING: Final[Any] = text(BLOCKING)
_WHERE: Final = bindparam("place", type_=PGUUID())
_KIND: Final = bindparam("room_kind", type_=Text())
_SESSION: Final = bindparam("session_id", type_=PGUUID())
_OURS: Final = select(_visit.location_id).where(_visit.session_id == _SESSION, _BLOCKING)
_ANYWHERE: Final = or_(_WHERE.is_(None), _place.id == _WHERE, _place.site_id == _WHERE)
_PLACES: Final = Query(
    select(_place.id, _place.kind)
    .where(
        _place.active,
        or_(
            and_(_KIND.is_(None), _place.id == _WHERE),
            and_(_place.room_kind == _KIND, _ANYWHERE),
        ),
    )
    .order_by(_place.id.in_(_OURS).desc(), _place.name, _place.id)
)
"""The place itself, or the rooms of the kind that is needed; where the session sits already first."""
_TAKEN: Final = Query(
    select(_visit.lane, _visit.capacity).where(_visit.session_id == _SESSION, _BLOCKING)
)


@dataclass(frozen=True, slots=True)
class Seat:
    """A place to try: `exclusive` when it is a room."""

    location_id: UUID | None = None
    exclusive: bool = True
    lane: int = 1

    @property
    def columns(self) -> Mapping[str, Any]:
        """What a row says of it."""
        return {"location_id": self.location_id, "exclusive": self.exclusive, "lane": self.lane}


async def seats(store: Store, terms: Terms, session_id: UUID | None) -> Sequence[Seat]:
    """Return the seats to try for a visit, best first; raise Invalid when there is no such place."""
    if terms.location_id is None and terms.room_kind is None and terms.capacity == 1:
        return [Seat()]
    places = await _places(store, terms, session_id)
    lanes = await _lanes(store, session_id, terms.capacity) if session_id else [1]
    return [Seat(place, exclusive, lane) for (place, exclusive), lane in product(places, lanes)]


async def moved(
    session: Session, row: Mapping[str, Any], start: datetime, end: datetime
) -> dict[str, Any]:
    """Return the columns of a visit at another time: buffers go along, a seat of a group finds a free lane.

    The insurance is the one that holds on the new day.
    """
    before, after = row["blocked_from"], row["blocked_until"]
    first = await session.execute(select(insured(row["patient_id"], day_of(start))))
    there: dict[str, Any] = {
        "starts_at": start,
        "ends_at": end,
        "blocked_from": before and start - (row["starts_at"] - before),
        "blocked_until": after and end + (after - row["ends_at"]),
        "coverage_id": first.scalar(),
    }
    if row["session_id"] is None:
        return there
    session_id = session_name(row["doctor_id"], row["service_id"], start)
    lanes = await _lanes(session, session_id, row["capacity"])
    return there | {"session_id": session_id, "lane": next(iter(lanes), row["lane"])}


async def _places(
    store: Store, terms: Terms, session_id: UUID | None
) -> Sequence[tuple[UUID | None, bool]]:
    if terms.location_id is None and terms.room_kind is None:
        return [(None, True)]
    wanted = {"place": terms.location_id, "room_kind": terms.room_kind, "session_id": session_id}
    found = await store.all(_PLACES, **wanted)
    if not found:
        fault = FieldError("/location_id", "unknown", "there is no such place for this visit")
        raise Invalid(errors=[fault])
    return [(row["id"], row["kind"] == LocationKind.ROOM) for row in found]


async def _lanes(store: Store, session_id: UUID, capacity: int) -> Sequence[int]:
    """Return the free lanes of a session. The strictest capacity frozen on one of its seats holds for all."""
    rows = await store.all(_TAKEN, session_id=session_id)
    strictest = min([capacity, *(row["capacity"] for row in rows)])
    used = {row["lane"] for row in rows}
    return [] if len(used) >= strictest else [n for n in range(1, strictest + 1) if n not in used]
