"""The waitlist: who waits for an earlier or any time, and what is offered to them when one is freed."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response
from pydantic import AwareDatetime, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from api.bodies import Trimmed
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, Seen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, Page
from api.times import Instant, LocalTime
from api.v1.appointments import AppointmentView
from api.v1.visits import Note
from core.clock import now
from records.scheduling import answering
from records.scheduling.changing import Why
from records.scheduling.waiting import OpenEntry, Wish, enter, list_entries, read_entry
from records.scheduling.waitlist import EntryStatus

router = APIRouter(prefix="/waitlist", tags=["appointments"])

Weekday = Annotated[int, Field(ge=1, le=7)]


class WishView(BaseModel):
    """What a patient waits for."""

    doctor_ids: list[UUID] = Field(
        default_factory=list, max_length=20, description="any doctor, if empty"
    )
    service_id: UUID | None = Field(None, description="the kind of visit")
    minutes: int | None = Field(
        None, ge=5, le=720, description="how long; as the service, or 30, if left out"
    )
    earliest: Instant = Field(default_factory=now, description="not before; now if left out")
    latest: Instant = Field(
        default_factory=lambda: now() + timedelta(days=90), description="not after; in 90 days"
    )
    weekdays: list[Weekday] = Field(
        default_factory=list, max_length=7, description="ISO days, Monday is 1; any, if empty"
    )
    not_before: LocalTime | None = Field(None, description="hour of the clinic's day")
    not_after: LocalTime | None = Field(None, description="latest start, hour of the clinic's day")
    priority: int = Field(
        3, ge=1, le=3, description="band: 1 urgent, 2 soon, 3 routine; only staff ask for 1 and 2"
    )
    appointment_id: UUID | None = Field(
        None, description="the later visit to give up when an earlier one is booked"
    )


class NewEntry(WishView, Trimmed):
    """Somebody to put on the list."""

    patient_id: UUID | None = Field(None, description="who waits; a patient waits for themselves")
    reason: str | None = Field(None, max_length=1000, description="sealed like every other PHI")

    @model_validator(mode="after")
    def _in_order(self) -> "NewEntry":
        if self.latest <= self.earliest:
            raise PydanticCustomError("order", "`latest` is after `earliest`")
        if self.not_before and self.not_after and self.not_after < self.not_before:
            raise PydanticCustomError("order", "`not_after` is no earlier than `not_before`")
        return self


class OfferView(BaseModel):
    """A freed time, kept for this entry alone."""

    appointment_id: UUID = Field(description="the hold: a pending appointment")
    doctor_id: UUID
    start: AwareDatetime
    end: AwareDatetime
    expires_at: AwareDatetime = Field(description="then it goes to the next who waits")


class EntryView(WishView):
    """A place on the waitlist. Order: priority, then who came first."""

    id: UUID
    patient_id: UUID
    status: EntryStatus
    offer: OfferView | None
    reason: str | None
    version: int
    created_at: AwareDatetime


Given = Annotated[Note, Body(default_factory=Note)]


@router.get("", operation_id="list_waitlist", response_model=Listing[EntryView])
async def get_entries(
    clinic: Clinic, me: Me, page: Page, status: EntryStatus | None = None
) -> Response:
    """List the entries the caller may see, oldest first."""
    found, last = await list_entries(clinic, me, status, limit=page.limit, after=page.after)
    return page.listed([_view(entry) for entry in found], last)


@router.get("/{entry_id}", operation_id="read_waitlist_entry", response_model=EntryView)
async def get_entry(entry_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read an entry, with what is offered to it."""
    entry = await read_entry(clinic, me, entry_id)
    return Json(_view(entry), headers={"ETag": etag(entry.version)})


@router.post("", operation_id="enter_waitlist", status_code=201, response_model=EntryView)
@once(get_entry)
async def post_entry(
    new: NewEntry, request: Request, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Put a patient on the list."""
    wish = Wish(
        time_zone=request.app.state.settings.time_zone,
        **new.model_dump(exclude={"patient_id", "reason"}),
    )
    entry = await enter(session, clinic, me, new.patient_id, wish, new.reason)
    headers = {"Location": f"/v1/waitlist/{entry.id}", "ETag": etag(entry.version)}
    return Json(_view(entry), 201, headers)


@router.delete("/{entry_id}", operation_id="leave_waitlist", status_code=204)
async def delete_entry(
    entry_id: UUID, session: Transaction, clinic: Clinic, me: Me, seen: MustHaveSeen
) -> None:
    """Leave the list. What is offered goes to the next."""
    await answering.leave(session, clinic, me, entry_id, Why(version=seen))


@router.post(
    "/{entry_id}/accept", operation_id="accept_waitlist_offer", response_model=AppointmentView
)
async def accept(
    entry_id: UUID,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: Seen,
    given: Given,
) -> Response:
    """Book what is offered, and give up the later visit the entry names, in one step."""
    booked = await answering.accept(
        session, clinic, me, entry_id, Why(note=given.reason, version=seen)
    )
    headers = {"Location": f"/v1/appointments/{booked.id}", "ETag": etag(booked.version)}
    return Json(booked, headers=headers)


@router.post("/{entry_id}/decline", operation_id="decline_waitlist_offer", status_code=204)
async def decline(
    entry_id: UUID,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: Seen,
    given: Given,
) -> None:
    """Refuse what is offered; it goes to the next who waits."""
    await answering.decline(session, clinic, me, entry_id, Why(note=given.reason, version=seen))


@router.post("/{entry_id}/resume", operation_id="resume_waiting", status_code=204)
async def resume(
    entry_id: UUID,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: Seen,
    given: Given,
) -> None:
    """Wait on at the old place, after an offer was declined or ran out."""
    await answering.resume(session, clinic, me, entry_id, Why(note=given.reason, version=seen))


def _view(entry: OpenEntry) -> dict[str, Any]:
    wish = {name: getattr(entry.wish, name) for name in WishView.model_fields}
    rest = EntryView.model_fields.keys() - WishView.model_fields.keys()
    return {**wish, **{name: getattr(entry, name) for name in rest}}
