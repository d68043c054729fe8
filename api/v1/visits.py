"""The life of an appointment: one route an act, the way back, the history."""

from collections.abc import Mapping
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Body, Response
from pydantic import AwareDatetime, BaseModel, Field

from api.bodies import Trimmed
from api.deps import Clinic, Me, Transaction
from api.etags import Seen, etag
from api.json import Json
from api.paging import Listing, unpaged
from api.times import Instant
from api.v1.appointments import AppointmentView
from records.scheduling import changing, moving
from records.scheduling.changing import Why
from records.scheduling.history import read_history
from records.scheduling.models import Act, AppointmentStatus, CancellationReason
from records.scheduling.moving import Move
from records.scheduling.reading import OpenAppointment

router = APIRouter(prefix="/appointments/{appointment_id}", tags=["appointments"])

ACTS: Final[Mapping[Act, str]] = {
    Act.CHECK_IN: "Note that the patient is at the desk: `checked-in`.",
    Act.START: (
        "Note that the patient is with the doctor: `arrived`. "
        "(FHIR has no status for a visit in progress: that is the Encounter's.)"
    ),
    Act.COMPLETE: "Note that the visit has taken place: `fulfilled`.",
    Act.CANCEL: "Call the visit off; its time is free at once.",
    Act.NO_SHOW: "Note that the patient did not come: 15 minutes after the start, not before.",
    Act.ENTER_IN_ERROR: "Say that this visit should never have been written down. It stays readable.",
}


class Note(Trimmed):
    """Why, in a few words; may be left out."""

    reason: str | None = Field(None, max_length=500, description="a few words; sealed")


class Given(Note):
    """Why it is done; all of it may be left out."""

    reason_code: CancellationReason | None = Field(
        None,
        description="why the visit does not take place, for `cancel` and `no-show` alone; "
        "FHIR appointment-cancellation-reason",
    )


class Confirmation(Note):
    """How it is confirmed; all of it may be left out."""

    override: bool = Field(
        False,
        description="a proposal outside the hours, the notice or the horizon, on purpose: for staff",
    )


class NewTime(Note):
    """When, and with whom, the visit shall be instead."""

    start: Instant
    end: Instant | None = Field(None, description="as long as before if left out")
    doctor_id: UUID | None = Field(None, description="another doctor; the same if left out")
    location_id: UUID | None = Field(
        None, description="as in the slot; the same place, or the other doctor's, if left out"
    )
    override: bool = Field(
        False, description="outside the hours, the notice or the horizon, on purpose"
    )


class ChangeView(BaseModel):
    """One step in the life of an appointment."""

    version: int = Field(description="the version this step made")
    act: str = Field(examples=["check-in"])
    from_status: AppointmentStatus | None
    to_status: AppointmentStatus
    start: AwareDatetime
    end: AwareDatetime
    doctor_id: UUID
    location_id: UUID | None
    reason_code: CancellationReason | None
    note: str | None
    by: UUID | None = Field(description="the account; null for the clinic's own clockwork")
    at: AwareDatetime


def _route(act: Act, description: str) -> None:
    @router.post(
        f"/{act}",
        operation_id=f"{act.replace('-', '_')}_appointment",
        response_model=AppointmentView,
        description=description,
    )
    async def do(
        appointment_id: UUID,
        session: Transaction,
        clinic: Clinic,
        me: Me,
        seen: Seen,
        given: Annotated[Given, Body(default_factory=Given)],
    ) -> Response:
        why = Why(given.reason_code, given.reason, seen)
        return _answer(await changing.change(session, clinic, me, appointment_id, act, why))


for _act, _description in ACTS.items():
    _route(_act, _description)


@router.post("/confirm", operation_id="confirm_appointment", response_model=AppointmentView)
async def confirm(
    appointment_id: UUID,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: Seen,
    given: Annotated[Confirmation, Body(default_factory=Confirmation)],
) -> Response:
    """Book what was proposed or held. A proposal held no time: when that is taken by now, 409 `slot-taken`."""
    why = Why(note=given.reason, version=seen)
    return _answer(
        await moving.confirm(session, clinic, me, appointment_id, why, override=given.override)
    )


@router.post("/undo", operation_id="undo_appointment_change", response_model=AppointmentView)
async def undo(
    appointment_id: UUID,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: Seen,
    given: Annotated[Note, Body(default_factory=Note)],
) -> Response:
    """Take the last change back. Who may do a thing may undo it; the time must still be free."""
    why = Why(note=given.reason, version=seen)
    return _answer(await moving.undo(session, clinic, me, appointment_id, why))


@router.post("/reschedule", operation_id="reschedule_appointment", response_model=AppointmentView)
async def reschedule(
    appointment_id: UUID, new: NewTime, session: Transaction, clinic: Clinic, me: Me, seen: Seen
) -> Response:
    """Move the visit: the same appointment at another time. If that is taken the old one stays: 409 `slot-taken`."""
    why = Why(note=new.reason, version=seen)
    move = Move(**new.model_dump(exclude={"reason"}))
    return _answer(await moving.reschedule(session, clinic, me, appointment_id, move, why))


@router.get("/history", operation_id="read_appointment_history", response_model=Listing[ChangeView])
async def history(appointment_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read who changed what, when and why, from the booking on."""
    steps = await read_history(clinic, me, appointment_id)
    return unpaged(steps)


def _answer(appointment: OpenAppointment) -> Response:
    return Json(appointment, headers={"ETag": etag(appointment.version)})
