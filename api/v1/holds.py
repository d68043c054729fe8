"""Holds: a slot kept for some minutes, while somebody makes up their mind."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from api.bodies import Trimmed
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import OneStatement, once
from api.paging import Listing, Page
from api.times import Instant
from records.scheduling.changing import Why
from records.scheduling.holding import hold, read_hold, release
from records.scheduling.models import AppointmentStatus
from records.scheduling.reading import OpenAppointment, Wanted, list_appointments

router = APIRouter(prefix="/holds", tags=["appointments"])


class NewHold(Trimmed):
    """A slot to hold."""

    patient_id: UUID | None = Field(None, description="for whom; a patient holds for themselves")
    doctor_id: UUID
    start: Instant
    end: Instant | None = Field(None, description="as for a booking")
    service_id: UUID | None = None
    location_id: UUID | None = None
    reason: str | None = Field(None, max_length=1000, description="sealed like every other PHI")
    minutes: int = Field(10, ge=1, le=30, description="how long it holds")


class HoldView(BaseModel):
    """A held slot: a pending appointment under the same id, which `confirm` or a booking with `hold_id` makes one."""

    id: UUID
    patient_id: UUID
    doctor_id: UUID
    service_id: UUID | None
    location_id: UUID | None
    status: AppointmentStatus
    start: AwareDatetime
    end: AwareDatetime
    expires_at: AwareDatetime = Field(description="refuses nobody from then on")
    reason: str | None
    version: int
    created_at: AwareDatetime


@router.get("", operation_id="list_holds", response_model=Listing[HoldView])
async def get_holds(request: Request, clinic: Clinic, me: Me, page: Page) -> Response:
    """List the holds that are still good and that the caller may see, newest first."""
    wanted = Wanted(request.app.state.settings.time_zone, held=True)
    items, last = await list_appointments(clinic, me, wanted, limit=page.limit, after=page.after)
    return page.listed([_view(held) for held in items], last)


@router.get("/{hold_id}", operation_id="read_hold", response_model=HoldView)
async def get_hold(hold_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read a hold; one that ran out, was booked or was released is not found."""
    held = await read_hold(clinic, me, hold_id)
    return Json(_view(held), headers={"ETag": etag(held.version)})


@router.post("", operation_id="hold_slot", status_code=201, response_model=HoldView)
@once(get_hold)
async def post_hold(new: NewHold, store: OneStatement, clinic: Clinic, me: Me) -> Response:
    """Hold a slot. It is refused, and refuses others, exactly as a booking: 409 `slot-taken`."""
    length = timedelta(minutes=new.minutes)
    held = await hold(store, clinic, me, length, **new.model_dump(exclude={"minutes"}))
    return Json(_view(held), 201, {"Location": f"/v1/holds/{held.id}", "ETag": etag(held.version)})


@router.delete("/{hold_id}", operation_id="release_hold", status_code=204)
async def delete_hold(
    hold_id: UUID, session: Transaction, clinic: Clinic, me: Me, seen: MustHaveSeen
) -> None:
    """Release a hold before its time."""
    await release(session, clinic, me, hold_id, Why(version=seen))


def _view(held: OpenAppointment) -> dict[str, Any]:
    return {name: getattr(held, name, held.held_until) for name in HoldView.model_fields}
