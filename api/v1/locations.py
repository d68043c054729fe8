"""Locations: sites, and the rooms in them. A room is never taken twice."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field, model_validator
from pydantic_core import PydanticCustomError

from api.bodies import Trimmed
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, Page
from api.patches import LEFT_OUT, Patch
from api.texts import Line
from records.scheduling.catalogue import add_item, change_item, list_items, read_item
from records.scheduling.supply import Location, LocationKind

router = APIRouter(tags=["locations"])


class NewLocation(Trimmed):
    """A place of the clinic."""

    name: Line = Field(min_length=1, max_length=100, examples=["Room 2"])
    kind: LocationKind = Field(
        LocationKind.ROOM, description="a room holds one visit at a time, a site many"
    )
    room_kind: str | None = Field(
        None, max_length=40, description="what a room is equipped for", examples=["ultrasound"]
    )
    site_id: UUID | None = Field(None, description="the site a room belongs to")

    @model_validator(mode="after")
    def _only_rooms(self) -> "NewLocation":
        if self.kind is LocationKind.SITE and (self.room_kind or self.site_id):
            raise PydanticCustomError("site", "a site is no room")
        return self


class LocationView(NewLocation):
    """A place of the clinic."""

    id: UUID
    active: bool
    version: int
    created_at: AwareDatetime


class LocationPatch(Patch):
    """What is to change of a location. What a room is, a room stays."""

    name: Line = Field(LEFT_OUT, min_length=1, max_length=100)
    room_kind: str | None = Field(None, max_length=40)
    site_id: UUID | None = None
    active: bool = LEFT_OUT


@router.get("/locations", operation_id="list_locations", response_model=Listing[LocationView])
async def get_locations(clinic: Clinic, me: Me, page: Page) -> Response:
    """List the sites and rooms in use."""
    found, last = await list_items(clinic, me, Location, limit=page.limit, after=page.after)
    return page.listed(found, last)


@router.get("/locations/{location_id}", operation_id="read_location", response_model=LocationView)
async def get_location(location_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one site or room."""
    return _shown(await read_item(clinic, me, Location, location_id))


@router.post(
    "/locations", operation_id="add_location", status_code=201, response_model=LocationView
)
@once(get_location)
async def post_location(new: NewLocation, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Add a site or a room."""
    location = Location(**new.model_dump())
    await add_item(session, clinic, me, location)
    headers = {"Location": f"/v1/locations/{location.id}", "ETag": etag(1)}
    return Json(location.model_dump(), 201, headers)


@router.patch(
    "/locations/{location_id}", operation_id="change_location", response_model=LocationView
)
async def patch_location(
    location_id: UUID,
    patch: LocationPatch,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
) -> Response:
    """Change a site or a room."""
    changed = await change_item(session, clinic, me, Location, location_id, seen, patch.changes())
    return _shown(changed)


def _shown(location: Mapping[str, Any]) -> Response:
    return Json(location, headers={"ETag": etag(location["version"])})
