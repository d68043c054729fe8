"""Calendar feeds: addresses for calendar programs, and the iCalendar (RFC 5545) behind them."""

from collections.abc import Iterable, Mapping
from datetime import UTC
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from icalendar import Calendar, Event
from pydantic import AwareDatetime, BaseModel, Field

from api.deps import Clinic, Me, Transaction, origin
from api.errors import RESPONSES
from api.etags import MustHaveSeen
from api.json import Json
from api.paging import Listing
from core.clock import now
from records.scheduling.feeds import Busy, list_feeds, open_feed, read_feed, revoke_feed

router = APIRouter(prefix="/me/calendar-feeds", tags=["appointments"])
public = APIRouter(prefix="/calendars", tags=["appointments"])

ICALENDAR: Final = "text/calendar"
SEEN_AS: Final[Mapping[str, str]] = {
    "proposed": "TENTATIVE",
    "pending": "TENTATIVE",
    "waitlist": "TENTATIVE",
    "cancelled": "CANCELLED",
    "noshow": "CANCELLED",
}
"""iCalendar's word for a status; all others are CONFIRMED."""
_FIRST: Final = 'W/"1"'


class FeedView(BaseModel):
    """A feed of one's own calendar."""

    id: UUID
    doctor_id: UUID | None
    patient_id: UUID | None
    created_at: AwareDatetime


class NewFeedView(FeedView):
    """A feed just made. Its address is a secret, told once and not kept."""

    url: str = Field(examples=["https://clinic.example/calendars/….ics"])


@router.post("", operation_id="open_calendar_feed", status_code=201, response_model=NewFeedView)
async def post_feed(request: Request, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Make an address for the caller's own calendar: a doctor's, or a patient's."""
    feed, secret = await open_feed(session, clinic, me)
    url = f"{request.app.state.settings.issuer}/calendars/{secret}.ics"
    shown = {name: getattr(feed, name) for name in FeedView.model_fields}
    headers = {"Location": f"/v1/me/calendar-feeds/{feed.id}", "ETag": _FIRST}
    return Json({**shown, "url": url}, 201, headers)


@router.get("", operation_id="list_calendar_feeds", response_model=Listing[FeedView])
async def get_feeds(clinic: Clinic, me: Me) -> Response:
    """List the caller's feeds that still work; their addresses are not told again."""
    found = await list_feeds(clinic, me)
    items = [{name: row[name] for name in FeedView.model_fields} for row in found]
    return Json({"items": items, "next_cursor": None})


@router.delete("/{feed_id}", operation_id="revoke_calendar_feed", status_code=204)
async def delete_feed(
    feed_id: UUID, session: Transaction, clinic: Clinic, me: Me, _seen: MustHaveSeen
) -> Response:
    """Make an address worthless at once."""
    await revoke_feed(session, clinic, me, feed_id)
    return Response(status_code=204)


@public.get(
    "/{secret}",
    operation_id="read_calendar",
    responses={**RESPONSES, 200: {"content": {ICALENDAR: {}}, "description": "iCalendar"}},
    response_class=Response,
)
async def get_calendar(secret: str, request: Request, clinic: Clinic) -> Response:
    """Read a calendar by its address. It says when, never who or why; cancelled visits stay, as cancelled."""
    feed_id, visits = await read_feed(clinic, secret.removesuffix(".ics"), origin(request))
    tag = _tag(visits)
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(written(feed_id, visits), 200, {"ETag": tag}, ICALENDAR)


def written(feed_id: UUID, visits: Iterable[Busy]) -> bytes:
    """Return the calendar. Each change of a visit raises its SEQUENCE, as programs expect of an update."""
    calendar = Calendar()
    head: dict[str, Any] = {
        "prodid": "-//Confide//Calendar//EN",
        "version": "2.0",
        "method": "PUBLISH",
        "x-wr-calname": "Appointments",
        "uid": str(feed_id),
    }
    for name, value in head.items():
        calendar.add(name, value)
    for visit in visits:
        calendar.add_component(_event(visit))
    text: bytes = calendar.to_ical()
    return text


def _event(visit: Busy) -> Event:
    event = Event()
    event.add("uid", f"{visit.id}@confide")
    event.add("dtstamp", now())
    event.add("dtstart", visit.start.astimezone(UTC))
    event.add("dtend", visit.end.astimezone(UTC))
    event.add("summary", "Appointment")
    event.add("status", SEEN_AS.get(visit.status, "CONFIRMED"))
    event.add("sequence", visit.version - 1)
    event.add("class", "PRIVATE")
    return event


def _tag(visits: Iterable[Busy]) -> str:
    whole = "".join(f"{visit.id}{visit.version}" for visit in visits)
    return f'W/"{sha256(whole.encode()).hexdigest()[:32]}"'
