"""Services: the kinds of visit, and how each is booked."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field

from api.bodies import Trimmed
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, Page
from api.patches import LEFT_OUT, Patch
from api.texts import Line
from records.scheduling.catalogue import add_item, change_item, list_items, read_item
from records.scheduling.supply import Service

router = APIRouter(tags=["services"])


class NewService(Trimmed):
    """A kind of visit."""

    name: Line = Field(min_length=1, max_length=100, examples=["Follow-up"])
    specialty: str | None = Field(
        None,
        max_length=40,
        description="code of the specialty whose doctors offer it; all do if left out",
        examples=["207Q00000X"],
    )
    duration_minutes: int = Field(30, ge=5, le=720)
    buffer_before_minutes: int = Field(
        0, ge=0, le=240, description="kept free before it, for doctor and room"
    )
    buffer_after_minutes: int = Field(
        0, ge=0, le=240, description="kept free after it, for doctor and room"
    )
    notice_minutes: int = Field(
        0, ge=0, le=525_600, description="how long before its start it is booked at the latest"
    )
    horizon_days: int = Field(
        365, ge=1, le=1_095, description="how many days ahead it is booked at the earliest"
    )
    capacity: int = Field(1, ge=1, le=100, description="patients at once: more in a group visit")
    room_kind: str | None = Field(
        None,
        max_length=40,
        description="it takes a free room of this kind",
        examples=["ultrasound"],
    )
    location_id: UUID | None = Field(None, description="it takes place there and nowhere else")


class ServiceView(NewService):
    """A kind of visit."""

    id: UUID
    active: bool
    version: int
    created_at: AwareDatetime


class ServicePatch(Patch, NewService):
    """What is to change of a service. Visits booked before keep what they were booked with."""

    name: Line = Field(LEFT_OUT, min_length=1, max_length=100)
    active: bool = LEFT_OUT


@router.get("/services", operation_id="list_services", response_model=Listing[ServiceView])
async def get_services(clinic: Clinic, me: Me, page: Page) -> Response:
    """List the kinds of visit that can be booked."""
    found, last = await list_items(clinic, me, Service, limit=page.limit, after=page.after)
    return page.listed(found, last)


@router.get("/services/{service_id}", operation_id="read_service", response_model=ServiceView)
async def get_service(service_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one kind of visit."""
    return _shown(await read_item(clinic, me, Service, service_id))


@router.post("/services", operation_id="add_service", status_code=201, response_model=ServiceView)
@once(get_service)
async def post_service(new: NewService, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Add a kind of visit."""
    service = Service(**new.model_dump())
    await add_item(session, clinic, me, service)
    headers = {"Location": f"/v1/services/{service.id}", "ETag": etag(1)}
    return Json(service.model_dump(), 201, headers)


@router.patch("/services/{service_id}", operation_id="change_service", response_model=ServiceView)
async def patch_service(
    service_id: UUID,
    patch: ServicePatch,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
) -> Response:
    """Change a kind of visit."""
    changed = await change_item(session, clinic, me, Service, service_id, seen, patch.changes())
    return _shown(changed)


def _shown(service: Mapping[str, Any]) -> Response:
    return Json(service, headers={"ETag": etag(service["version"])})
