"""Calendar feeds: addresses for calendar programs, and the iCalendar (RFC 5545) behind them."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response
from pydantic import AwareDatetime, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from api.bodies import Strict
from api.deps import Clinic, Me, Transaction, origin
from api.errors import RESPONSES
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, unpaged
from core.errors import PreconditionFailed
from records.scheduling.feeds import list_feeds, open_feed, read_feed, read_visit, revoke_feed
from records.scheduling.ical import Busy, calendar_of

router = APIRouter(tags=["appointments"])
public = APIRouter(prefix="/calendars", tags=["appointments"])

FEEDS: Final = "/me/calendar-feeds"
ICALENDAR: Final = "text/calendar"
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    **RESPONSES,
    200: {"content": {ICALENDAR: {"schema": {"type": "string"}}}, "description": "iCalendar"},
}


class NewFeed(Strict):
    """Whose calendar; the caller's own if both are left out."""

    doctor_id: UUID | None = Field(None, description="a doctor's, for whom may read all of it")
    patient_id: UUID | None = Field(None, description="a patient's, for whom may read their visits")

    @model_validator(mode="after")
    def _one(self) -> "NewFeed":
        if self.doctor_id and self.patient_id:
            raise PydanticCustomError("one_calendar", "a feed is of one calendar")
        return self


class FeedView(BaseModel):
    """A feed of a calendar."""

    id: UUID
    doctor_id: UUID | None
    patient_id: UUID | None
    created_at: AwareDatetime
    version: int = Field(1, description="always 1: a feed is made and ended, and never changed")


class NewFeedView(FeedView):
    """A feed just made. Its address is a secret, told once and not kept."""

    url: str | None = Field(
        description="null when the answer is a replay",
        examples=["https://clinic.example/calendars/….ics"],
    )


@router.get(FEEDS, operation_id="list_calendar_feeds", response_model=Listing[FeedView])
async def get_feeds(clinic: Clinic, me: Me) -> Response:
    """List the feeds that the caller made, or others of the caller's calendar; addresses are not told again."""
    found = await list_feeds(clinic, me)
    return unpaged([_feed(row) for row in found])


@router.post(FEEDS, operation_id="open_calendar_feed", status_code=201, response_model=NewFeedView)
@once(get_feeds, secrets=("url",))
async def post_feed(
    request: Request,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    new: Annotated[NewFeed, Body(default_factory=NewFeed)],
) -> Response:
    """Make an address for a calendar: one's own, or a doctor's or patient's whose visits one may see."""
    feed, secret = await open_feed(session, clinic, me, **new.model_dump())
    url = f"{request.app.state.settings.issuer}/calendars/{secret}.ics"
    headers = {"Location": f"/v1{FEEDS}/{feed.id}", "ETag": etag(1)}
    return Json({**_feed(feed.model_dump()), "url": url}, 201, headers)


def _feed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"version": 1} | {name: row[name] for name in FeedView.model_fields if name in row}


@router.delete(f"{FEEDS}/{{feed_id}}", operation_id="revoke_calendar_feed", status_code=204)
async def delete_feed(
    feed_id: UUID, session: Transaction, clinic: Clinic, me: Me, seen: MustHaveSeen
) -> None:
    """Make an address worthless at once."""
    if seen not in (None, 1):
        raise PreconditionFailed("a feed has one version, the first")
    await revoke_feed(session, clinic, me, feed_id)


@public.get(
    "/{feed}",
    operation_id="read_calendar",
    responses=ANSWERS,
    response_class=Response,
)
async def get_calendar(feed: str, request: Request, clinic: Clinic) -> Response:
    """Read a calendar by its address. It says when, never who or why; cancelled visits stay, as cancelled."""
    feed_id, visits = await read_feed(clinic, feed.removesuffix(".ics"), origin(request))
    head = {"x-wr-calname": "Appointments", "uid": str(feed_id)}
    text = calendar_of(visits, "PUBLISH", **head).to_ical()
    return Response(text, 200, {"ETag": _tag(visits)}, ICALENDAR)


@router.get(
    "/appointments/{appointment_id}/calendar",
    operation_id="read_appointment_calendar",
    responses=ANSWERS,
    response_class=Response,
)
async def get_visit(appointment_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one visit as iCalendar, to be put into a calendar, or taken out: its METHOD is CANCEL when it is off."""
    visit = await read_visit(clinic, me, appointment_id)
    method = "CANCEL" if visit.off else "PUBLISH"
    kind, headers = f"{ICALENDAR}; method={method}", {"ETag": etag(visit.version)}
    return Response(calendar_of([visit], method).to_ical(), 200, headers, kind)


def _tag(visits: Iterable[Busy]) -> str:
    whole = "".join(f"{visit.id}{visit.version}" for visit in visits)
    return f'W/"{sha256(whole.encode()).hexdigest()[:32]}"'
