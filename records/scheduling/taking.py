"""The one INSERT that takes a time. The exclusion constraints decide, whoever else is trying."""

from dataclasses import asdict
from typing import Final

from sqlalchemy.dialects.postgresql import insert

from core.database import translated
from records.base import Executor, table_of
from records.scheduling.models import Appointment
from records.scheduling.seating import Seat

_appointment: Final = table_of(Appointment)
_COLUMNS: Final = tuple(_appointment.columns.keys())
_TAKE: Final = insert(_appointment).on_conflict_do_nothing().returning(_appointment.c.id)


async def take(session: Executor, row: Appointment, seat: Seat) -> bool:
    """Try a seat; it is ours if a row comes back."""
    values = {column: getattr(row, column) for column in _COLUMNS} | asdict(seat)
    with translated():
        taken = await session.execute(_TAKE, values)
    return taken.first() is not None
