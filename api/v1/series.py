"""Series of appointments: weekly, or every few weeks, at the same hour of the clinic's day."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from api.deps import Clinic, Me, Transaction
from api.json import Json
from api.once import once
from api.v1.appointments import AppointmentView, NewAppointment
from api.v1.visits import Given, NewTime
from records.scheduling.changing import Why
from records.scheduling.moving import Move
from records.scheduling.remaining import cancel_rest, move_rest
from records.scheduling.series import LONGEST, Rhythm, Series, book_series, read_series

router = APIRouter(prefix="/appointments/series", tags=["appointments"])


class NewSeries(NewAppointment):
    """The first visit, and how it goes on."""

    count: int = Field(ge=2, le=LONGEST, description="visits in all")
    every_weeks: int = Field(1, ge=1, le=12)
    fitting: bool = Field(False, description="book those that fit; otherwise all of them or none")
    hold_id: None = Field(None, description="a series is not booked from a hold")
    status: Literal["booked"] = Field("booked", description="a series is not proposed")


class NewSeriesTime(NewTime):
    """When the next visit shall be instead; those after it move by as many days and hours of the clinic's calendar."""

    end: None = Field(None, description="each stays as long as it is")


class LeftOut(BaseModel):
    """A visit of the series that could not be booked."""

    number: int = Field(description="which one; 1 is the first")
    start: AwareDatetime | None = Field(description="null where the clocks skip that hour")
    code: str = Field(examples=["slot-taken"])


class SeriesView(BaseModel):
    """Visits that were booked together. Each lives on its own."""

    id: UUID
    items: Sequence[AppointmentView]
    left_out: Sequence[LeftOut]


@router.post("/{series_id}/cancel", operation_id="cancel_series", response_model=SeriesView)
async def cancel(
    series_id: UUID,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    given: Annotated[Given, Body(default_factory=Given)],
) -> Response:
    """Call off all visits of a series that lie ahead, or none of them."""
    why = Why(given.reason_code, given.reason)
    return Json(_view(await cancel_rest(session, clinic, me, series_id, why)))


@router.post("/{series_id}/reschedule", operation_id="reschedule_series", response_model=SeriesView)
async def reschedule(
    series_id: UUID,
    new: NewSeriesTime,
    request: Request,
    session: Transaction,
    clinic: Clinic,
    me: Me,
) -> Response:
    """Move all visits of a series that lie ahead by as much as the next one, or none of them."""
    zone = request.app.state.settings.time_zone
    move, why = Move(**new.model_dump(exclude={"reason"})), Why(note=new.reason)
    return Json(_view(await move_rest(session, clinic, me, zone, series_id, move, why)))


@router.get("/{series_id}", operation_id="read_series", response_model=SeriesView)
async def get_series(series_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read the visits of a series that the caller may see, by time."""
    return Json(_view(await read_series(clinic, me, series_id)))


@router.post("", operation_id="book_series", status_code=201, response_model=SeriesView)
@once(get_series)
async def post_series(
    new: NewSeries, request: Request, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Book a series, all of it or what fits. The hour stays the same when the clocks change."""
    zone = request.app.state.settings.time_zone
    rhythm = Rhythm(zone, new.count, new.every_weeks, new.fitting)
    visit = new.model_dump(exclude={"count", "every_weeks", "fitting", "hold_id", "status"})
    made = await book_series(session, clinic, me, rhythm, **visit)
    return Json(_view(made), 201, {"Location": f"/v1/appointments/series/{made.id}"})


def _view(series: Series) -> dict[str, Any]:
    return {name: getattr(series, name) for name in SeriesView.model_fields}
