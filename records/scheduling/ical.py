"""iCalendar (RFC 5545, 5546) of visits: that there is one, and when; not whose, not with whom, not why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from icalendar import Calendar, Event, vCalAddress

from core.clock import now

SEEN_AS: Final[Mapping[str, str]] = {
    "proposed": "TENTATIVE",
    "pending": "TENTATIVE",
    "waitlist": "TENTATIVE",
    "cancelled": "CANCELLED",
    "noshow": "CANCELLED",
    "entered-in-error": "CANCELLED",
}
"""iCalendar's word for a status; all others are CONFIRMED."""


@dataclass(frozen=True, slots=True)
class Busy:
    """A visit as a calendar sees it. `version` counts its changes."""

    id: UUID
    start: datetime
    end: datetime
    status: str
    version: int

    @property
    def off(self) -> bool:
        """Whether it does not take place."""
        return SEEN_AS.get(self.status) == "CANCELLED"


def calendar_of(visits: Iterable[Busy], method: str, **head: str) -> Calendar:
    """Return a calendar. Each change of a visit raises its SEQUENCE, as programs expect of an update."""
    calendar = Calendar()
    for name, value in {"prodid": "-//Confide//Calendar//EN", "version": "2.0", **head}.items():
        calendar.add(name, value)
    calendar.add("method", method)
    for visit in visits:
        calendar.add_component(_event(visit))
    return calendar


def message(visit: Busy, *, sender: str, to: str) -> tuple[str, str]:
    """Return what a letter tells a calendar program, and the method: REQUEST puts the visit in, CANCEL takes it out."""
    method = "CANCEL" if visit.off else "REQUEST"
    calendar = calendar_of([visit], method)
    (event,) = calendar.walk("VEVENT")
    event.add("organizer", vCalAddress(f"mailto:{sender}"))
    event.add("attendee", vCalAddress(f"mailto:{to}"), parameters={"rsvp": "FALSE"})
    text: str = calendar.to_ical().decode()
    return method, text


def _event(visit: Busy) -> Event:
    event = Event()
    fields: dict[str, Any] = {
        "uid": f"{visit.id}@confide",
        "dtstamp": now(),
        "dtstart": visit.start.astimezone(UTC),
        "dtend": visit.end.astimezone(UTC),
        "summary": "Appointment",
        "status": SEEN_AS.get(visit.status, "CONFIRMED"),
        "sequence": visit.version - 1,
        "class": "PRIVATE",
    }
    for name, value in fields.items():
        event.add(name, value)
    return event
