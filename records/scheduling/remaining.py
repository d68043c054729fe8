"""What is still to come of a series, called off or moved as one: all of it or nothing."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import UUID as PGUUID
from sqlalchemy import bindparam, select

from core.clock import now
from core.database import Session
from core.errors import Conflict, FieldError, Invalid
from records.access.me import Me
from records.base import table_of
from records.clinic import Clinic
from records.scheduling.availability import exactly
from records.scheduling.changing import Why, change
from records.scheduling.models import Act, Appointment, AppointmentStatus
from records.scheduling.moving import Move, reschedule
from records.scheduling.offering import offer
from records.scheduling.series import Series, read_series

_visit: Final = table_of(Appointment).c
_REST: Final = (
    select(_visit.id, _visit.starts_at)
    .where(
        _visit.series_id == bindparam("series_id", type_=PGUUID()),
        _visit.status.in_((AppointmentStatus.PENDING, AppointmentStatus.BOOKED)),
        _visit.starts_at > bindparam("at"),
    )
    .order_by(_visit.id)
    .with_for_update()
)


async def cancel_rest(
    session: Session, clinic: Clinic, me: Me, series_id: UUID, why: Why
) -> Series:
    """Call off all visits of a series that lie ahead."""
    rest = await _rest(session, clinic, me, series_id)
    return Series(
        series_id,
        [await change(session, clinic, me, visit["id"], Act.CANCEL, why) for visit in rest],
    )


async def move_rest(
    session: Session, clinic: Clinic, me: Me, zone: str, series_id: UUID, move: Move, why: Why
) -> Series:
    """Move all visits of a series that lie ahead: the next one to `move.start`, the others by as much local time.

    What fails names the `number` of the visit, counted from the next one on. No time they leave is offered to who waits
    before the last has moved, for a later one may move into it.
    """
    rest = await _rest(session, clinic, me, series_id)
    times = shifted([visit["starts_at"] for visit in rest], move.start, ZoneInfo(zone))
    pairs = list(enumerate(zip(rest, times, strict=True), 1))
    moved, freed = [], list[Mapping[str, Any]]()
    for number, (visit, start) in reversed(pairs) if move.start > rest[0]["starts_at"] else pairs:
        there = Move(start, None, move.doctor_id, move.location_id, move.override)
        try:
            done = await reschedule(session, clinic, me, visit["id"], there, why, freed=freed)
        except (Conflict, Invalid) as refusal:
            refusal.members["number"] = number
            raise
        moved.append(done)
    for row in freed:
        await offer(session, clinic, row)
    return Series(series_id, sorted(moved, key=lambda visit: visit.start))


def shifted(starts: Sequence[datetime], start: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the times of a series whose first is moved; raise Invalid where the clocks skip one."""
    local = [at.astimezone(zone).replace(tzinfo=None) for at in (start, *starts)]
    shift: timedelta = local[0] - local[1]
    times = [exactly(at + shift, zone) for at in local[1:]]
    if None in times:
        number = times.index(None) + 1
        fault = FieldError("/start", "no-such-hour", f"visit {number} has no such hour that day")
        raise Invalid(errors=[fault])
    return [start.astimezone(UTC), *(at for at in times[1:] if at)]


async def _rest(
    session: Session, clinic: Clinic, me: Me, series_id: UUID
) -> Sequence[Mapping[str, Any]]:
    """Return what lies ahead of a series by time, locked; raise NotFound for a series out of sight."""
    await read_series(clinic, me, series_id)
    found = (await session.execute(_REST, {"series_id": series_id, "at": now()})).mappings().all()
    if not found:
        raise Conflict("nothing of this series lies ahead", code="series-over")
    return sorted(map(dict, found), key=lambda visit: visit["starts_at"])
