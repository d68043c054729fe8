"""Reminders: a day and two hours before a visit, never at night, to the address that the patient gave.

What is due is worked out from the calendar as it is at that moment, so a cancelled visit has no reminder and a moved one has
new ones. Each is claimed by a row in the transaction that sends it: two workers cannot both have it, and a letter that
the server did not take is not marked as sent. The letter says when, and nothing of why or with whom.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Select, UniqueConstraint, exists
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field

from core import mail
from core.clock import now
from core.ids import new_id
from core.settings import Settings
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import clockwork
from records.base import Row, moment, one_of, table_of, word
from records.clinic import Clinic
from records.people.models import Patient
from records.scheduling.models import Appointment, AppointmentStatus
from records.vault.vault import sealed_rows, still_there

MORNING: Final = time(8)
EVENING: Final = time(20)
"""Nobody is disturbed before or after; what would be due at night is due the evening before."""
BATCH: Final = 200

log = structlog.get_logger()


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


Notifier = Callable[[str, str, str, str], Awaitable[bool]]
"""A way to reach somebody: address, subject, text, and a key that is the same if it is sent again. Tells whether
the message was taken."""


def notifier(here: Settings) -> Notifier:
    """Return the way this clinic has: SMTP, or else a log that a reminder was due (ids only, no address)."""
    if not here.smtp_url.get_secret_value():
        return _log_only

    async def by_mail(to: str, subject: str, text: str, key: str) -> bool:
        return await mail.send(here, to, subject, text, key)

    return by_mail


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
    head = (visit.id.label("appointment_id"), visit.starts_at, visit.created_at)
    return (
        sealed_rows(Patient, *head)
        .join(table_of(Appointment), visit.patient_id == table_of(Patient).c.id)
        .where(
            visit.status == AppointmentStatus.BOOKED,
            visit.starts_at.between(nearest, farthest),
            visit.created_at < visit.starts_at - LEAD[kind],
            ~dealt_with,
            still_there(),
        )
        .order_by(visit.starts_at)
        .limit(BATCH)
    )


async def _send(
    clinic: Clinic, row: Mapping[str, Any], kind: ReminderKind, zone: ZoneInfo, notify: Notifier
) -> int:
    """Claim a reminder, send it, and commit both; what was not taken rolls back and is due again."""
    me = clockwork("remind")
    patient = Resource(ResourceType.PATIENT, id=row["resource_id"], patient_id=row["patient_id"])
    claim = {
        "id": new_id(),
        "appointment_id": row["appointment_id"],
        "kind": kind,
        "starts_at": row["starts_at"],
    }
    async with clinic.database.transaction() as session:
        claiming = insert(table_of(Reminder)).values(**claim, sent_at=now())
        mine = claiming.on_conflict_do_nothing().returning(table_of(Reminder).c.id)
        if (await session.execute(mine)).first() is None:
            return 0
        permit = await clinic.gate.write(session, me, Action.NOTIFY, patient)
        address = clinic.vault.open(permit, Patient, row, only=["email"])["email"]
        if address is None:
            return 1
        key = f"{row['appointment_id']}.{kind}.{row['starts_at'].timestamp():.0f}"
        if not await notify(str(address), SUBJECT, letter(row["starts_at"], zone), key):
            await session.rollback()
            return 0
    return 1


SUBJECT: Final = "Your appointment"


def letter(start: datetime, zone: ZoneInfo) -> str:
    """Return the text: a time and no more."""
    local = start.astimezone(zone)
    return (
        f"You have an appointment on {local:%A, %d %B %Y} at {local:%H:%M} ({zone.key}).\n\n"
        "If you cannot come, please cancel it or call us, so that somebody else can have the time.\n"
    )


async def _log_only(_to: str, _subject: str, _text: str, key: str) -> bool:
    log.info("reminder due; no mail server is set", reminder=key)
    return True
