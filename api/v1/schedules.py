"""When a doctor works: weekly windows in local time."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from api.bodies import Strict
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, Page
from api.patches import LEFT_OUT, Patch
from api.times import Day, LocalTime
from core.clock import now
from records.scheduling.planning import add_plan, change_plan, list_plans, remove_plan
from records.scheduling.supply import Schedule

router = APIRouter(prefix="/doctors/{doctor_id}", tags=["schedules"])


def _known(zone: str) -> str:
    if zone not in available_timezones():
        raise PydanticCustomError("time_zone", "this is no IANA time zone")
    return zone


Zone = Annotated[str, AfterValidator(_known)]


class WindowView(BaseModel):
    """A weekly window."""

    id: UUID
    doctor_id: UUID
    weekday: int
    start: str = Field(examples=["09:00"])
    end: str = Field(examples=["17:00"])
    time_zone: str
    valid_from: date
    valid_until: date | None
    service_id: UUID | None
    location_id: UUID | None
    slot_minutes: int
    version: int


class NewWindow(Strict):
    """A weekly window, in local time: 9 to 17 stays 9 to 17 when clocks change."""

    weekday: int = Field(
        ge=1, le=7, description="ISO: Monday is 1; of a window over midnight its start's"
    )
    start: LocalTime = Field(examples=["09:00"])
    end: LocalTime = Field(
        description="at or before the start: of the next day; 00:00 is the end of the day",
        examples=["17:00"],
    )
    time_zone: Zone | None = Field(
        None,
        max_length=60,
        description="IANA; the clinic's if left out",
        examples=["Europe/Berlin"],
    )
    valid_from: Day | None = Field(None, description="today if left out")
    valid_until: Day | None = Field(None, description="the last day; open if left out")
    service_id: UUID | None = Field(None, description="for this kind of visit alone")
    location_id: UUID | None = Field(None, description="where the doctor is then")
    slot_minutes: int = Field(30, ge=5, le=480, description="starts lie this far apart")


class WindowPatch(Patch):
    """What is to change of a window."""

    weekday: int = Field(LEFT_OUT, ge=1, le=7)
    start: LocalTime = LEFT_OUT
    end: LocalTime = LEFT_OUT
    time_zone: Zone = Field(LEFT_OUT, max_length=60)
    valid_from: Day = LEFT_OUT
    valid_until: Day | None = None
    service_id: UUID | None = None
    location_id: UUID | None = None
    slot_minutes: int = Field(LEFT_OUT, ge=5, le=480)


@router.get("/schedules", operation_id="list_schedules", response_model=Listing[WindowView])
async def get_windows(doctor_id: UUID, clinic: Clinic, me: Me, page: Page) -> Response:
    """List a doctor's weekly windows."""
    found, last = await list_plans(
        clinic, me, Schedule, doctor_id, limit=page.limit, after=page.after
    )
    return page.listed([_window(w) for w in found], last)


@router.post("/schedules", operation_id="add_schedule", status_code=201, response_model=WindowView)
@once(get_windows)
async def post_window(
    doctor_id: UUID,
    new: NewWindow,
    request: Request,
    session: Transaction,
    clinic: Clinic,
    me: Me,
) -> Response:
    """Add a weekly window. Doctors keep their own; the front desk and the administrator everybody's."""
    given = new.model_dump()
    given["time_zone"] = zone = new.time_zone or request.app.state.settings.time_zone
    given["valid_from"] = new.valid_from or now().astimezone(ZoneInfo(zone)).date()
    window = Schedule(doctor_id=doctor_id, **_stored(given))
    await add_plan(session, clinic, me, window, doctor_id)
    location = f"/v1/doctors/{doctor_id}/schedules/{window.id}"
    return Json(_window(window.model_dump()), 201, {"Location": location, "ETag": etag(1)})


@router.patch("/schedules/{schedule_id}", operation_id="change_schedule", response_model=WindowView)
async def patch_window(
    doctor_id: UUID,
    schedule_id: UUID,
    patch: WindowPatch,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
) -> Response:
    """Change a weekly window. What is booked in it stays booked."""
    values = _stored(patch.changes())
    changed = await change_plan(session, clinic, me, Schedule, doctor_id, schedule_id, seen, values)
    return Json(_window(changed), headers={"ETag": etag(changed["version"])})


@router.delete("/schedules/{schedule_id}", operation_id="remove_schedule", status_code=204)
async def delete_window(
    doctor_id: UUID,
    schedule_id: UUID,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
) -> None:
    """Remove a weekly window. What is booked in it stays booked."""
    await remove_plan(session, clinic, me, Schedule, doctor_id, schedule_id, seen)


def _stored(given: dict[str, Any]) -> dict[str, Any]:
    return {{"start": "start_time", "end": "end_time"}.get(k, k): v for k, v in given.items()}


def _window(row: Any) -> dict[str, Any]:
    start, end = (f"{row[name]:%H:%M}" for name in ("start_time", "end_time"))
    shown = {"start": start, "end": end}
    return {name: shown.get(name) or row[name] for name in WindowView.model_fields}
