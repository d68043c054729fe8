"""The one INSERT that takes a time. The exclusion constraints decide, whoever else is trying."""

from dataclasses import asdict
from typing import Final

from sqlalchemy.dialects.postgresql import insert

from core.database import translated
from records.base import Executor, table_of
from records.scheduling.models import Appointment
from records.scheduling.seating import Seat

_appointment: Final = table_of(Appointment)


async def take(session: Executor, row: Appointment, seat: Seat) -> bool:
    """Try a seat; it is ours if a row comes back."""
    values = {c: getattr(row, c) for c in _appointment.columns.keys()}  # noqa: SIM118 - a ColumnCollection
    taking = insert(_appointment).values(values | asdict(seat)).on_conflict_do_nothing()
    with translated():
        taken = await session.execute(taking.returning(_appointment.c.id))
    return taken.first() is not None
