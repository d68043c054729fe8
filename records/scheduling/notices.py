"""Letters about what became of a visit: booked, moved, called off, each with an entry that calendar programs follow.

What is due is read off the calendar and its history: the newest version of a visit, if it is one that the patient should
hear of and nobody was told. A hold is nobody's visit yet. Ids carry their time, so what is new is found by its id.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Select, UniqueConstraint, and_, exists
from sqlmodel import Field

from core.clock import now
from core.ids import first_id
from core.mail import Invitation
from records.base import Row, moment, table_of
from records.clinic import Clinic
from records.scheduling.ical import Busy, message
from records.scheduling.letters import Letter, Notifier, addressed, send_once
from records.scheduling.models import Act, Appointment, AppointmentChange, AppointmentStatus
from records.scheduling.reminding import spoken

NEWS: Final = timedelta(days=1)
"""Older changes are no news any more."""
BATCH: Final = 200
_SET: Final = (Act.CONFIRM, Act.RESCHEDULE, Act.UNDO)
_S: Final = AppointmentStatus
_KNOWN: Final = (_S.PROPOSED, _S.BOOKED, _S.ARRIVED, _S.CHECKED_IN)
_OFF: Final = (_S.CANCELLED, _S.ENTERED_IN_ERROR, _S.PROPOSED)
_TAKEN_BACK: Final = (Act.CANCEL, Act.ENTER_IN_ERROR, Act.UNDO)
"""What the patient knew of does not take place: cancelled, never meant, or a wish again since its confirming was undone."""
_HEAD: Final = ("starts_at", "ends_at", "status", "version")


class Notice(Row, table=True):
    """That a patient was told of one version of a visit."""

    __tablename__ = "notice"
    __table_args__ = (UniqueConstraint("appointment_id", "version"),)

    appointment_id: UUID = Field(foreign_key="appointment.id")
    version: int
    told_at: datetime = moment(default=True)


_visit, _told = table_of(Appointment).c, table_of(Notice).c
_change: Final = table_of(AppointmentChange).c


async def tell(clinic: Clinic, zone: str, sender: str, notify: Notifier) -> int:
    """Send what is news; return how many visits were dealt with. At night too: a visit may be early."""
    dealt = 0
    for statement in _news():
        for row in await clinic.database.select(statement):
            dealt += await _send(clinic, row, ZoneInfo(zone), sender, notify)
    return dealt


def _news() -> Iterator[Select[Any]]:
    """Yield the SELECTs of new bookings and of changes, each with its patient and their key."""
    since = first_id(now() - NEWS)
    booked = AppointmentStatus.BOOKED
    rows = (
        addressed(*(_visit[name] for name in _HEAD))
        .where(
            _visit.starts_at > now(),
            _visit.source.is_(None),
            ~exists().where(_told.appointment_id == _visit.id, _told.version == _visit.version),
        )
        .order_by(_visit.id)
        .limit(BATCH)
    )
    yield rows.where(_visit.id > since, _visit.status == booked, _visit.version == 1)
    newest = and_(_change.appointment_id == _visit.id, _change.number == _visit.version)
    changed = rows.join(table_of(AppointmentChange), newest).where(_change.id > since)
    yield changed.where(_visit.status == booked, _change.act.in_(_SET))
    yield changed.where(
        _visit.status.in_(_OFF),
        _change.act.in_(_TAKEN_BACK),
        _change.from_status.in_(_KNOWN),
        _change.from_status != _change.to_status,
    )


async def _send(
    clinic: Clinic, row: Mapping[str, Any], zone: ZoneInfo, sender: str, notify: Notifier
) -> bool:
    status = _S.BOOKED if row["status"] == _S.BOOKED else _S.CANCELLED
    visit = Busy(row["appointment_id"], row["starts_at"], row["ends_at"], status, row["version"])
    claim = Notice(appointment_id=visit.id, version=visit.version)

    def letter(to: str) -> Letter:
        invitation = Invitation(*message(visit, sender=sender, to=to))
        return Letter(text_of(visit, zone), f"{visit.id}.{visit.version}", invitation)

    return await send_once(clinic, row, "tell", claim, notify, letter)


def text_of(visit: Busy, zone: ZoneInfo) -> str:
    """Return the text: a time, and whether it holds."""
    when = spoken(visit.start, zone)
    if visit.off:
        return f"Your appointment on {when} does not take place.\n"
    return f"Your appointment is on {when}.\n\nIf you cannot come, please cancel it or call us.\n"
