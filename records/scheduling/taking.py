"""The one INSERT that takes a time. The exclusion constraints decide, whoever else is trying."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Date, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from core.clock import day_of
from core.database import Store
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action
from records.access.me import Me
from records.audit.trail import noting
from records.base import table_of
from records.clinic import Clinic
from records.people.coverages import insured
from records.people.models import Patient
from records.scheduling.models import Appointment
from records.scheduling.seating import Seat

_table, _patient = table_of(Appointment), table_of(Patient).c
_GIVEN: Final = {
    name: bindparam(name, type_=_table.c[name].type)
    for name in (
        "id", "patient_id", "key_id", "doctor_id", "service_id", "status", "held_until", "starts_at", "ends_at",
        "blocked_from", "blocked_until", "session_id", "series_id", "capacity", "lane", "location_id", "exclusive", "reason",
        "created_by", "created_at", "version", "moves", "edition",
    )
}  # fmt: skip
_NEW: Final = {"version": 1, "moves": 0, "edition": 1}
_PERSON: Final = (
    select(_patient.person_id)
    .where(_patient.id == _GIVEN["patient_id"])
    .with_for_update(read=True, key_share=True)
    .scalar_subquery()
)
"""Who the patient is once nobody joins two files of theirs any more: afterwards each would wait for the other."""
_TAKE: Final = noting(
    insert(_table)
    .values(
        **_GIVEN,
        person_id=_PERSON,
        coverage_id=insured(_GIVEN["patient_id"], bindparam("day", type_=Date())),
    )
    .on_conflict_do_nothing()
    .returning(_table.c.coverage_id)
)


async def take(
    store: Store,
    clinic: Clinic,
    me: Me,
    resource: Resource,
    seats: Sequence[Seat],
    row: Mapping[str, Any],
    cells: Callable[[Permit], Mapping[str, Any]] = lambda _: {"reason": None},
    *,
    right: Action = Action.BOOK,
) -> Mapping[str, Any] | None:
    """Try seats in turn; return the row as it stands in the first that is free, or None.

    Each try is one statement. It writes the event of the booking too, and finds the insurance of the day.
    """
    for seat in seats:
        there = {**row, **seat.columns, **_NEW, "day": day_of(row["starts_at"])}
        filled = partial(_filled, there, cells)
        taken = await clinic.gate.make(store, me, right, resource, _TAKE, _table, filled)
        if taken:
            return {**there, **taken}
    return None


def _filled(
    row: Mapping[str, Any], cells: Callable[[Permit], Mapping[str, Any]], permit: Permit
) -> Mapping[str, Any]:
    return {**row, **cells(permit)}
