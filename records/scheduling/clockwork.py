"""What the clinic does by itself: a hold that ran out gives its time back, a visit nobody came to is missed.

It passes the gate like everybody, as the clockwork that the policy knows, and its steps are in the history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Select, exists, func, select, update

from core.clock import now
from core.database import Session
from policies.facts import Resource
from policies.vocabulary import ResourceType
from records.access.me import clockwork
from records.base import rewrite, table_of
from records.clinic import Clinic
from records.scheduling.history import write_down
from records.scheduling.life import GRACE, LIFE
from records.scheduling.models import (
    Act,
    Appointment,
    AppointmentChange,
    AppointmentStatus,
    CancellationReason,
)
from records.scheduling.offering import offer, settle

BATCH: Final = 100
"""Rows one transaction takes on at most."""
LOOKBACK: Final = timedelta(days=7)
"""Older visits that nobody closed are history brought in from elsewhere, or a matter for people."""

_table, _change = table_of(Appointment), table_of(AppointmentChange).c
_visit = _table.c
_ended: Final = _table.alias("ended").c
OVERDUE: Final = exists().where(_ended.held_until <= func.now()).label("overdue")
"""Whether a hold ran out that still keeps its time."""


async def lapse(session: Session, clinic: Clinic) -> Sequence[Mapping[str, Any]]:
    """Let go of holds that ran out, offer their times on, and return them."""
    due = _due(AppointmentStatus.PENDING, _visit.held_until <= now())
    rows = (await session.execute(due)).mappings().all()
    for row in rows:
        await _step(session, clinic, row, Act.EXPIRE, CancellationReason.HOLD_EXPIRED)
        await settle(session, row["id"], Act.EXPIRE)
        await offer(session, clinic, row)
    return list(rows)


async def mark_missed(session: Session, clinic: Clinic) -> int:
    """Mark visits that are over and that nobody came to; one that was unmarked by hand stays so."""
    unmarked = exists().where(_change.appointment_id == _visit.id, _change.act == Act.NO_SHOW)
    over = (_visit.ends_at <= now() - GRACE, _visit.ends_at > now() - LOOKBACK, ~unmarked)
    rows = (await session.execute(_due(AppointmentStatus.BOOKED, *over))).mappings().all()
    for row in rows:
        await _step(session, clinic, row, Act.NO_SHOW, None)
    return len(rows)


def _due(status: AppointmentStatus, *conditions: Any) -> Select[Any]:
    """Return the SELECT of what is due, locked, in one order for everybody."""
    rows = select(*_visit, _visit.id.label("row_id")).where(_visit.status == status, *conditions)
    return rows.order_by(_visit.id).limit(BATCH).with_for_update(of=_table)


async def _step(
    session: Session,
    clinic: Clinic,
    row: Mapping[str, Any],
    act: Act,
    reason: CancellationReason | None,
) -> None:
    """Take one step of the table without opening a cell: the key may be gone, the time must not stay taken."""
    after = LIFE[act].after
    stored = Resource(
        ResourceType.APPOINTMENT,
        id=row["id"],
        patient_id=row["person_id"],
        doctor_id=row["doctor_id"],
        status=row["status"],
        chart_id=row["patient_id"],
    )
    permit = await clinic.gate.write(
        session, clockwork(act), LIFE[act].right, stored, replace(stored, status=after)
    )
    new = {"status": after, "cancellation_reason": reason, "held_until": None}
    new["version"] = row["version"] + 1
    await rewrite(session, update(_table).where(_visit.id == row["id"]).values(**new))
    await write_down(session, clinic, permit, act, row, {**row, **new})
