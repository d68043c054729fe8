"""The demo's house: a site with its rooms, and the kinds of visit that take place there."""

from collections.abc import Iterator
from typing import Final

from records.demo.people import rows
from records.scheduling.supply import Location, LocationKind, Service

# name | what it is equipped for
_ROOMS: Final = """
Room 1          |
Room 2          |
Ultrasound room | ultrasound
Seminar room    | seminar
"""

# name | minutes | buffers before and after | notice in minutes | days ahead | patients at once | kind of room
_SERVICES: Final = """
Consultation      | 30 | 0  | 0  | 60   | 180 | 1 |
Short follow-up   | 15 | 0  | 0  | 30   | 90  | 1 |
First visit       | 60 | 0  | 15 | 1440 | 180 | 1 |
Ultrasound        | 30 | 10 | 10 | 240  | 90  | 1 | ultrasound
Healthy back class| 60 | 15 | 15 | 1440 | 120 | 8 | seminar
"""


def locations() -> Iterator[Location]:
    """Yield the site, and then its rooms."""
    site = Location(name="Harbor Street Clinic", kind=LocationKind.SITE)
    yield site
    for name, room_kind in rows(_ROOMS):
        yield Location(name=name, room_kind=room_kind or None, site_id=site.id)


def services() -> Iterator[Service]:
    """Yield the kinds of visit, which every doctor offers."""
    for name, minutes, before, after, notice, ahead, capacity, room_kind in rows(_SERVICES):
        yield Service(
            name=name,
            duration_minutes=int(minutes),
            buffer_before_minutes=int(before),
            buffer_after_minutes=int(after),
            notice_minutes=int(notice),
            horizon_days=int(ahead),
            capacity=int(capacity),
            room_kind=room_kind or None,
        )
