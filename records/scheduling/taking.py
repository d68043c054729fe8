"""The one INSERT that takes a time. The exclusion constraints decide, whoever else is trying."""

from dataclasses import asdict
from typing import Final

from sqlalchemy.dialects.postgresql import insert

from core.database import translated
from records.base import Executor, table_of
from records.people.coverages import insured
from records.scheduling.models import Appointment
from records.scheduling.seating import Seat

_appointment: Final = table_of(Appointment)
_COLUMNS: Final = tuple(c.name for c in _appointment.columns if c.name != "coverage_id")
_TAKE: Final = insert(_appointment).on_conflict_do_nothing().returning(_appointment.c.coverage_id)


async def take(session: Executor, row: Appointment, seat: Seat) -> bool:
    """Try a seat; it is ours if a row comes back, with the insurance that holds on that day."""
    values = {column: getattr(row, column) for column in _COLUMNS} | asdict(seat)
    taking = _TAKE.values(coverage_id=insured(row.patient_id, row.starts_at))
    with translated():
        result = await session.execute(taking, values)
    taken = result.first()
    row.coverage_id = taken[0] if taken else None
    return taken is not None
