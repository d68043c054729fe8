"""Where a visit may sit: which rooms, and which lane of a group visit. Free a moment ago; the INSERT is the judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import (
    DateTime,
    Text,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
)

from core.clock import day_of
from core.database import Query, Session, Store
from core.errors import FieldError, Invalid
from records.base import table_of
from records.people.coverages import insured
from records.scheduling.admission import Time
from records.scheduling.life import HOLDING
from records.scheduling.models import BLOCKING, BUFFERED, Appointment, AppointmentStatus
from records.scheduling.supply import Location, LocationKind
from records.scheduling.taken import SlotTaken, time_of
from records.scheduling.terms import Terms, session_name

_visit, _place = table_of(Appointment).c, table_of(Location).c
_BLOCKING: Final[Any] = text(BLOCKING)
_WHERE: Final = bindparam("place", type_=PGUUID())
_KIND: Final = bindparam("room_kind", type_=Text())
_SESSION: Final = bindparam("session_id", type_=PGUUID())
_SINCE, _UNTIL = (bindparam(n, type_=DateTime(timezone=True)) for n in ("since", "until"))
_OURS: Final = select(_visit.location_id).where(
    _visit.session_id == _SESSION, _visit.location_id.is_not(None), _BLOCKING
)
_ANYWHERE: Final = or_(_WHERE.is_(None), _place.id == _WHERE, _place.site_id == _WHERE)
_ROOMS: Final = select(_place.id, _place.kind).where(
    _place.active,
    or_(
        and_(_KIND.is_(None), _place.id == _WHERE),
        and_(_place.room_kind == _KIND, _ANYWHERE),
    ),
)
_PLACES: Final = Query(_ROOMS.order_by(_place.id.in_(_OURS).desc(), _place.name, _place.id))
"""The place itself, or the rooms of the kind that is needed; where the session sits already first."""
_ENGAGED: Final = exists().where(
    _visit.location_id == _place.id,
    _visit.exclusive,
    _visit.location_id.is_not(None),
    _BLOCKING,
    literal_column(BUFFERED).op("&&")(func.tstzrange(_SINCE, _UNTIL)),
    _visit.id != bindparam("but", type_=PGUUID()),
    func.coalesce(_visit.session_id, _visit.id).is_distinct_from(_SESSION),
)
_FREE: Final = Query(
    _ROOMS.where(~_ENGAGED)
    .order_by((_place.id == bindparam("here", type_=PGUUID())).desc(), _place.name, _place.id)
    .limit(1)
)
"""The room a moved visit is in, if nobody else is in it then; or the first that is free."""
_SITE: Final = Query(select(_place.id).where(_place.id == _WHERE, _place.kind == LocationKind.SITE))
_TAKEN: Final = Query(
    select(_visit.lane, _visit.capacity).where(
        _visit.session_id == _SESSION,
        _visit.id.is_distinct_from(bindparam("but", type_=PGUUID())),
        _BLOCKING,
    )
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
    """Return the seats to try for a visit, best first; raise Invalid when there is no such place.

    What takes no seat of a session names none.
    """
    if terms.location_id is None and terms.room_kind is None and session_id is None:
        return [Seat()]
    places = await _places(store, terms, session_id)
    lanes = await _lanes(store, session_id, terms.capacity) if session_id else [1]
    return [Seat(place, exclusive, lane) for (place, exclusive), lane in product(places, lanes)]


@dataclass(frozen=True, slots=True)
class There:
    """With whom a visit is then, when, and in which status: only what holds its time takes a seat."""

    doctor_id: UUID
    start: datetime
    end: datetime
    status: AppointmentStatus

    @property
    def columns(self) -> dict[str, Any]:
        """What a row says of it."""
        return {
            "doctor_id": self.doctor_id,
            "starts_at": self.start,
            "ends_at": self.end,
            "status": self.status,
        }


async def moved(
    session: Session, row: Mapping[str, Any], there: There, terms: Terms | None
) -> dict[str, Any]:
    """Return the columns of a visit at another time: a seat of a group finds a free lane there.

    `terms` are those of a doctor who does it anew; without, buffers and capacity go along as they were booked. The insurance
    is the one that holds on the new day.
    """
    first = await session.execute(select(insured(row["patient_id"], day_of(there.start))))
    bounds = _bounds(row, there) if terms is None else _anew(there, terms)
    wanted = time_of({**row, **there.columns})
    lane = await _lane(session, row, bounds, wanted) if there.status in HOLDING else 1
    return {**there.columns, **bounds, "lane": lane, "coverage_id": first.scalar()}


def _bounds(row: Mapping[str, Any], there: There) -> dict[str, Any]:
    """Return how long a visit keeps its doctor, and with how many others it is, as it was booked."""
    before, after = row["blocked_from"], row["blocked_until"]
    name = session_name(there.doctor_id, row["service_id"], there.start)
    return {
        "blocked_from": before and there.start - (row["starts_at"] - before),
        "blocked_until": after and there.end + (after - row["ends_at"]),
        "capacity": row["capacity"],
        "session_id": name if row["capacity"] > 1 else None,
    }


def _anew(there: There, terms: Terms) -> dict[str, Any]:
    """Return the same on the terms of today."""
    blocked_from, blocked_until = terms.blocked(there.start, there.end)
    return {
        "blocked_from": blocked_from,
        "blocked_until": blocked_until,
        "capacity": terms.capacity,
        "session_id": terms.session(there.doctor_id, there.start),
    }


async def _lane(
    session: Session, row: Mapping[str, Any], bounds: Mapping[str, Any], wanted: Time
) -> int:
    """Return a free lane of the session, its own if that is free; raise SlotTaken where none is."""
    if bounds["session_id"] is None:
        return 1
    there = bounds["session_id"], bounds["capacity"]
    lanes = await _lanes(session, *there, but=row["row_id"])
    if not lanes:
        raise SlotTaken(wanted)
    return row["lane"] if row["lane"] in lanes else lanes[0]


async def resettled(
    store: Store, terms: Terms, row: Mapping[str, Any], image: Mapping[str, Any]
) -> dict[str, Any]:
    """Return where a moved visit is: at the place its terms name, or in a room of their kind that is free then.

    It stays where it was if that will do.
    """
    if terms.room_kind is None:
        if terms.location_id == row["location_id"]:
            return {}
        ((place, exclusive),) = await _places(store, terms, None)
        return {"location_id": place, "exclusive": exclusive}
    room = await store.one(
        _FREE,
        place=terms.location_id,
        room_kind=terms.room_kind,
        session_id=image["session_id"],
        since=image["blocked_from"] or image["starts_at"],
        until=image["blocked_until"] or image["ends_at"],
        but=row["row_id"],
        here=row["location_id"],
    )
    return {"location_id": room["id"], "exclusive": True} if room else {}


async def put(store: Store, location_id: UUID | None) -> dict[str, Any]:
    """Return the columns of a visit that is put back to where it was."""
    site = await store.one(_SITE, place=location_id)
    return {"location_id": location_id, "exclusive": site is None}


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


async def _lanes(
    store: Store, session_id: UUID, capacity: int, *, but: UUID | None = None
) -> Sequence[int]:
    """Return the lanes of a session that are free, or a visit's own. The strictest capacity frozen on one of its seats holds for all."""
    rows = await store.all(_TAKEN, session_id=session_id, but=but)
    strictest = min([capacity, *(row["capacity"] for row in rows)])
    used = {row["lane"] for row in rows}
    return [] if len(used) >= strictest else [n for n in range(1, strictest + 1) if n not in used]
