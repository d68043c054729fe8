"""Reminders: a day and two hours before a visit, never at night, to the address that the patient gave.

What is due is worked out from the calendar as it is at that moment, so a cancelled visit has no reminder and a moved one has
new ones. The letter says when, and nothing of why or with whom.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Select, UniqueConstraint, exists
from sqlmodel import Field

from core.clock import now
from records.base import Row, moment, one_of, table_of, word
from records.clinic import Clinic
from records.scheduling.letters import Letter, Notifier, addressed, send_once
from records.scheduling.models import Appointment, AppointmentStatus

MORNING: Final = time(8)
EVENING: Final = time(20)
"""Nobody is disturbed before or after; what would be due at night is due the evening before."""
BATCH: Final = 200


class ReminderKind(StrEnum):
    """How long before."""

    DAY = "24h"
    HOURS = "2h"


LEAD: Final[Mapping[ReminderKind, timedelta]] = {
    ReminderKind.DAY: timedelta(hours=24),
    ReminderKind.HOURS: timedelta(hours=2),
}
TOO_LATE: Final[Mapping[ReminderKind, timedelta]] = {
    ReminderKind.DAY: timedelta(hours=3),
    ReminderKind.HOURS: timedelta(minutes=15),
}
"""So near the visit a reminder of this kind is of no use any more."""


class Reminder(Row, table=True):
    """A reminder that was dealt with: one for each visit, kind and time."""

    __tablename__ = "reminder"
    __table_args__ = (
        one_of("kind", ReminderKind),
        UniqueConstraint("appointment_id", "kind", "starts_at"),
    )

    appointment_id: UUID = Field(foreign_key="appointment.id")
    kind: ReminderKind = word()
    starts_at: datetime = moment()
    sent_at: datetime = moment(default=True)


async def remind(clinic: Clinic, zone: str, notify: Notifier) -> int:
    """Send what is due, unless it is night; return how many visits were dealt with."""
    local = ZoneInfo(zone)
    if _night(now().astimezone(local)):
        return 0
    dealt = 0
    for kind in ReminderKind:
        rows = await clinic.database.select(_ahead(kind))
        for row in rows:
            if due(row["starts_at"], kind, local) <= now():
                dealt += await _send(clinic, row, kind, local, notify)
    return dealt


def due(start: datetime, kind: ReminderKind, zone: ZoneInfo) -> datetime:
    """Return when a reminder is due: its lead before the visit, brought forward out of the night."""
    at = (start - LEAD[kind]).astimezone(zone)
    if not _night(at):
        return at.astimezone(UTC)
    day = at.date() if at.time() >= EVENING else at.date() - timedelta(days=1)
    return datetime.combine(day, EVENING, zone).astimezone(UTC)


def _night(local: datetime) -> bool:
    return not MORNING <= local.time() < EVENING


def _ahead(kind: ReminderKind) -> Select[Any]:
    """Select booked visits near enough that were not dealt with, each with its patient and their key."""
    visit, done = table_of(Appointment).c, table_of(Reminder).c
    nearest, farthest = now() + TOO_LATE[kind], now() + LEAD[kind] + timedelta(hours=12)
    dealt_with = exists().where(
        done.appointment_id == visit.id, done.kind == kind, done.starts_at == visit.starts_at
    )
    return (
        addressed(visit.starts_at)
        .where(
            visit.status == AppointmentStatus.BOOKED,
            visit.starts_at.between(nearest, farthest),
            visit.created_at < visit.starts_at - LEAD[kind],
            ~dealt_with,
        )
        .order_by(visit.starts_at)
        .limit(BATCH)
    )


async def _send(
    clinic: Clinic, row: Mapping[str, Any], kind: ReminderKind, zone: ZoneInfo, notify: Notifier
) -> bool:
    visit_id, start = row["appointment_id"], row["starts_at"]
    claim = Reminder(appointment_id=visit_id, kind=kind, starts_at=start)
    letter = Letter(text_of(start, zone), f"{visit_id}.{kind}.{start.timestamp():.0f}")
    return await send_once(clinic, row, "remind", claim, notify, lambda _: letter)


def text_of(start: datetime, zone: ZoneInfo) -> str:
    """Return the text: a time and no more."""
    return (
        f"You have an appointment on {spoken(start, zone)}.\n\n"
        "If you cannot come, please cancel it or call us, so that somebody else can have the time.\n"
    )


def spoken(start: datetime, zone: ZoneInfo) -> str:
    """Return a time as the clinic's clocks show it."""
    local = start.astimezone(zone)
    return f"{local:%A, %d %B %Y} at {local:%H:%M} ({zone.key})"
