"""Exceptions from the weekly windows: a doctor away or working extra, the clinic closed, public holidays."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.bodies import Strict
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, Page
from api.patches import LEFT_OUT, Patch
from api.times import Instant
from core.clock import now
from records.scheduling.availability import holidays_on
from records.scheduling.planning import (
    add_holidays,
    add_plan,
    change_plan,
    list_plans,
    remove_plan,
)
from records.scheduling.supply import HolidayCalendar, TimeOff, TimeOffKind

router = APIRouter(tags=["schedules"])
_OF_DOCTOR = "/doctors/{doctor_id}"


class NewException(Strict):
    """A time at which a doctor is away, or works besides the weekly windows."""

    kind: TimeOffKind = TimeOffKind.ABSENCE
    start: Instant
    end: Instant
    service_id: UUID | None = Field(None, description="extra hours for this kind of visit alone")
    location_id: UUID | None = Field(None, description="where extra hours are; where one is away")
    slot_minutes: int = Field(
        30, ge=5, le=480, description="starts of extra hours lie this far apart"
    )


class ExceptionView(NewException):
    """An exception from the weekly windows."""

    id: UUID
    doctor_id: UUID | None
    version: int


class NewClosure(Strict):
    """A time at which the clinic, or one place of it, is closed for everybody."""

    start: Instant
    end: Instant
    location_id: UUID | None = Field(None, description="the whole clinic if left out")


class NewHolidays(Strict):
    """A calendar of public holidays."""

    calendar: str = Field(
        max_length=20, description="country, or country and part of it", examples=["US-MA"]
    )


class HolidaysView(NewHolidays):
    """A calendar of public holidays, and its days of a year."""

    id: UUID
    version: int
    days: dict[date, str]


class ExceptionPatch(Patch):
    """What is to change of an exception."""

    start: Instant = LEFT_OUT
    end: Instant = LEFT_OUT
    service_id: UUID | None = None
    location_id: UUID | None = None
    slot_minutes: int = Field(LEFT_OUT, ge=5, le=480)


@router.get(
    f"{_OF_DOCTOR}/time-off", operation_id="list_time_off", response_model=Listing[ExceptionView]
)
async def get_exceptions(doctor_id: UUID, clinic: Clinic, me: Me, page: Page) -> Response:
    """List a doctor's absences and extra hours that are not over."""
    found, last = await list_plans(
        clinic, me, TimeOff, doctor_id, limit=page.limit, after=page.after
    )
    return page.listed([_view(e) for e in found], last)


@router.post(
    f"{_OF_DOCTOR}/time-off",
    operation_id="add_time_off",
    status_code=201,
    response_model=ExceptionView,
)
@once(get_exceptions)
async def post_exception(
    doctor_id: UUID, new: NewException, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Add an absence, or extra hours. It beats the weekly windows; what is booked stays booked."""
    exception = TimeOff(doctor_id=doctor_id, **_instants(new.model_dump()))
    await add_plan(session, clinic, me, exception, doctor_id)
    location = f"/v1/doctors/{doctor_id}/time-off/{exception.id}"
    return Json(_view(exception.model_dump()), 201, {"Location": location, "ETag": etag(1)})


@router.patch(
    f"{_OF_DOCTOR}/time-off/{{time_off_id}}",
    operation_id="change_time_off",
    response_model=ExceptionView,
)
async def patch_exception(
    doctor_id: UUID,
    time_off_id: UUID,
    patch: ExceptionPatch,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
) -> Response:
    """Change an absence or extra hours."""
    values = _instants(patch.changes())
    changed = await change_plan(session, clinic, me, TimeOff, doctor_id, time_off_id, seen, values)
    return Json(_view(changed), headers={"ETag": etag(changed["version"])})


@router.delete(
    f"{_OF_DOCTOR}/time-off/{{time_off_id}}", operation_id="remove_time_off", status_code=204
)
async def delete_exception(
    doctor_id: UUID,
    time_off_id: UUID,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
) -> None:
    """Remove an absence or extra hours."""
    await remove_plan(session, clinic, me, TimeOff, doctor_id, time_off_id, seen)


@router.get("/closures", operation_id="list_closures", response_model=Listing[ExceptionView])
async def get_closures(clinic: Clinic, me: Me, page: Page) -> Response:
    """List when the clinic is closed, from now on."""
    found, last = await list_plans(clinic, me, TimeOff, None, limit=page.limit, after=page.after)
    return page.listed([_view(e) for e in found], last)


@router.post("/closures", operation_id="add_closure", status_code=201, response_model=ExceptionView)
@once(get_closures)
async def post_closure(new: NewClosure, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Close the clinic, or a place of it, for a time. What is booked stays booked."""
    closure = TimeOff(**_instants(new.model_dump()))
    await add_plan(session, clinic, me, closure)
    headers = {"Location": f"/v1/closures/{closure.id}", "ETag": etag(1)}
    return Json(_view(closure.model_dump()), 201, headers)


@router.delete("/closures/{closure_id}", operation_id="remove_closure", status_code=204)
async def delete_closure(
    closure_id: UUID, session: Transaction, clinic: Clinic, me: Me, seen: MustHaveSeen
) -> None:
    """Open again."""
    await remove_plan(session, clinic, me, TimeOff, None, closure_id, seen)


@router.get("/holidays", operation_id="list_holidays", response_model=Listing[HolidaysView])
async def get_holidays(
    clinic: Clinic,
    me: Me,
    page: Page,
    year: Annotated[int | None, Query(ge=1970, le=2200, description="this one if left out")] = None,
) -> Response:
    """List the calendars that are kept, with their holidays of a year."""
    found, last = await list_plans(
        clinic, me, HolidayCalendar, None, limit=page.limit, after=page.after
    )
    items = [_days(calendar, year or now().year) for calendar in found]
    return page.listed(items, last)


@router.post("/holidays", operation_id="add_holidays", status_code=201, response_model=HolidaysView)
@once(get_holidays)
async def post_holidays(new: NewHolidays, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Keep the public holidays of a country: weekly windows do not open on them, extra hours do."""
    row = await add_holidays(session, clinic, me, new.calendar)
    headers = {"Location": f"/v1/holidays/{row.id}", "ETag": etag(1)}
    return Json(_days(row.model_dump(), now().year), 201, headers)


@router.delete("/holidays/{calendar_id}", operation_id="remove_holidays", status_code=204)
async def delete_holidays(
    calendar_id: UUID, session: Transaction, clinic: Clinic, me: Me, seen: MustHaveSeen
) -> None:
    """Keep a calendar's holidays no longer."""
    await remove_plan(session, clinic, me, HolidayCalendar, None, calendar_id, seen)


def _days(calendar: Any, year: int) -> dict[str, Any]:
    days = holidays_on(calendar["calendar"], year)
    return {**calendar, "days": {day.isoformat(): name for day, name in days.items()}}


def _instants(given: dict[str, Any]) -> dict[str, Any]:
    return {{"start": "starts_at", "end": "ends_at"}.get(k, k): v for k, v in given.items()}


def _view(row: Any) -> dict[str, Any]:
    shown = {"start": row["starts_at"], "end": row["ends_at"]}
    return {name: shown.get(name) or row[name] for name in ExceptionView.model_fields}
