"""Appointments: booked, read, listed."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from api.bodies import Trimmed
from api.deps import Clinic, Me
from api.etags import etag
from api.json import Json
from api.once import OneStatement, once
from api.paging import Listing, Page
from api.times import Day, Instant
from core.database import Store
from core.errors import FieldError, Invalid
from records.scheduling.booking import book
from records.scheduling.holding import book_held
from records.scheduling.models import AppointmentStatus, CancellationReason
from records.scheduling.reading import (
    OpenAppointment,
    Wanted,
    list_appointments,
    list_patient_appointments,
    read_appointment,
)

router = APIRouter(tags=["appointments"])


class AppointmentView(BaseModel):
    """A visit of a patient to a doctor: [start, end)."""

    id: UUID
    patient_id: UUID
    doctor_id: UUID
    service_id: UUID | None = None
    location_id: UUID | None = None
    coverage_id: UUID | None = Field(
        None, description="the insurance that came first on the day, when it was booked"
    )
    status: AppointmentStatus
    start: AwareDatetime
    end: AwareDatetime
    reason: str | None = None
    cancellation_reason: CancellationReason | None = None
    moves: int = Field(description="how often it was rescheduled")
    series_id: UUID | None = Field(None, description="the series it was booked in")
    held_until: AwareDatetime | None = Field(None, description="of a hold: when it runs out")
    erased: bool = Field(False, description="whether the patient was erased, and every word of it")
    version: int
    created_at: AwareDatetime


class NewAppointment(Trimmed):
    """A visit to book."""

    patient_id: UUID
    doctor_id: UUID
    start: Instant
    end: Instant | None = Field(
        None, description="if left out, the start plus the length of the service, or 30 minutes"
    )
    service_id: UUID | None = Field(None, description="the kind of visit")
    location_id: UUID | None = Field(
        None, description="the room, or the site; the service's own if left out"
    )
    hold_id: UUID | None = Field(None, description="the hold to turn into this booking")
    status: Literal["booked", "proposed"] = Field(
        "booked",
        description="`proposed` is a wish: it holds no time until somebody who may book confirms it",
    )
    override: bool = Field(
        False, description="outside the hours, the notice or the horizon, on purpose: for staff"
    )
    reason: str | None = Field(None, max_length=1000, description="sealed like every other PHI")


async def _book(store: Store, clinic: Clinic, me: Me, new: NewAppointment) -> OpenAppointment:
    visit, proposed = new.model_dump(exclude={"hold_id", "status"}), new.status == "proposed"
    if new.hold_id is None:
        return await book(store, clinic, me, **visit, proposed=proposed)
    if proposed:
        raise Invalid(errors=[FieldError("/hold_id", "not-here", "a hold is booked, not proposed")])
    agreed = {name: visit[name] for name in ("patient_id", "doctor_id", "start", "reason")}
    async with store.transaction() as session:
        return await book_held(session, clinic, me, new.hold_id, **agreed)


@router.get(
    "/appointments", operation_id="list_appointments", response_model=Listing[AppointmentView]
)
async def get_appointments(
    request: Request,
    clinic: Clinic,
    me: Me,
    page: Page,
    doctor_id: UUID | None = None,
    patient_id: UUID | None = None,
    day: Annotated[Day | None, Query(description="a day of the clinic's calendar")] = None,
    status: AppointmentStatus | None = None,
) -> Response:
    """List the appointments the caller may see, newest first."""
    zone = request.app.state.settings.time_zone
    wanted = Wanted(zone, doctor_id, patient_id, day, status)
    items, last = await list_appointments(clinic, me, wanted, limit=page.limit, after=page.after)
    return page.listed(items, last)


@router.get(
    "/appointments/{appointment_id}",
    operation_id="read_appointment",
    response_model=AppointmentView,
)
async def get_appointment(appointment_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one appointment."""
    appointment = await read_appointment(clinic, me, appointment_id)
    return Json(appointment, headers={"ETag": etag(appointment.version)})


@router.post(
    "/appointments",
    operation_id="book_appointment",
    status_code=201,
    response_model=AppointmentView,
)
@once(get_appointment)
async def post_appointment(
    new: NewAppointment, store: OneStatement, clinic: Clinic, me: Me
) -> Response:
    """Book a visit, or propose one. When doctor, patient or room is engaged, a booking is answered 409 `slot-taken`."""
    made = await _book(store, clinic, me, new)
    return Json(made, 201, {"Location": f"/v1/appointments/{made.id}", "ETag": etag(made.version)})


@router.get("/worklist", operation_id="list_worklist", response_model=Listing[AppointmentView])
async def get_worklist(request: Request, clinic: Clinic, me: Me, page: Page) -> Response:
    """List the visits ahead whose doctor practises here no more: somebody has to move or cancel them."""
    wanted = Wanted(request.app.state.settings.time_zone, unattended=True)
    items, last = await list_appointments(clinic, me, wanted, limit=page.limit, after=page.after)
    return page.listed(items, last)


@router.get(
    "/patients/{patient_id}/appointments",
    operation_id="list_patient_appointments",
    response_model=Listing[AppointmentView],
)
async def get_patient_appointments(
    patient_id: UUID, request: Request, clinic: Clinic, me: Me, page: Page
) -> Response:
    """List one patient's appointments that the caller may see, newest first."""
    zone = request.app.state.settings.time_zone
    items, last = await list_patient_appointments(
        clinic, me, patient_id, zone, limit=page.limit, after=page.after
    )
    return page.listed(items, last)
