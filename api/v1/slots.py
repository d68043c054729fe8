"""Free slots: computed when asked, never stored, and silent about who has the rest."""

import struct
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from api.deps import Clinic, Me
from api.json import Json
from api.paging import Cursor, Limit, Listing, cursor_at, links, place_of
from api.times import Instant
from core.clock import now
from records.scheduling.hours import Wanted
from records.scheduling.slots import Key, find_slots

router = APIRouter(tags=["slots"])

USUAL: Final = timedelta(days=7)
_KEY: Final = struct.Struct(">q16s16s")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class SlotView(BaseModel):
    """A free time: [start, end). Its fields book it."""

    doctor_id: UUID
    start: AwareDatetime
    end: AwareDatetime
    service_id: UUID | None
    location_id: UUID | None = Field(description="the room that is free then, or the place")


@router.get("/slots", operation_id="find_slots", response_model=Listing[SlotView])
async def get_slots(
    request: Request,
    clinic: Clinic,
    me: Me,
    since: Annotated[
        Instant | None,
        Query(alias="from", description="starts from here on; now if left out"),
    ] = None,
    until: Annotated[
        Instant | None,
        Query(alias="to", description="starts before this, within 31 days; a week on if left out"),
    ] = None,
    doctor_id: Annotated[
        list[UUID] | None, Query(max_length=100, description="any of these; repeat it")
    ] = None,
    specialty: Annotated[str | None, Query(max_length=200, description="code or display")] = None,
    service_id: UUID | None = None,
    location_id: Annotated[
        UUID | None, Query(description="a room, or a site with its rooms")
    ] = None,
    patient_id: Annotated[
        UUID | None,
        Query(description="who comes, whose own visits count too; a patient who asks, if left out"),
    ] = None,
    moving: Annotated[
        UUID | None,
        Query(description="a visit of that patient that is to be moved: its own time is free"),
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """Find free slots, soonest first: doctor, patient, room and whatever the service needs are free then."""
    first = (since or now()).astimezone(UTC)
    last = until.astimezone(UTC) if until else first + USUAL
    asked = specialty, service_id, location_id, patient_id, moving
    wanted = Wanted(first, last, tuple(doctor_id or ()), *asked)
    after = place_of(cursor, _key) if cursor else None
    found, end = await find_slots(clinic, me, wanted, limit=limit, after=after)
    onward = cursor_at(_place(end)) if end else None
    return Json({"items": found, "next_cursor": onward}, headers=links(request, onward))


def _place(key: Key) -> bytes:
    start, doctor_id, service_id = key
    return _KEY.pack((start - _EPOCH) // _MICROSECOND, doctor_id.bytes, service_id.bytes)


def _key(place: bytes) -> Key:
    micros, doctor, service = _KEY.unpack(place)
    return _EPOCH + micros * _MICROSECOND, UUID(bytes=doctor), UUID(bytes=service)
