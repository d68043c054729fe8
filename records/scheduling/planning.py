"""The hours of a doctor, and the days on which the clinic is closed: kept by the doctor, or by who keeps everybody's."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import holidays as public
from sqlalchemy import delete, select

from core.clock import now
from core.errors import Conflict, FieldError, Invalid, NotFound, PreconditionFailed
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.listing import cut
from records.access.me import Me
from records.base import Executor, add, revise, table_of
from records.clinic import Clinic
from records.meanings import fitting, meaning
from records.scheduling.supply import HolidayCalendar, Schedule, TimeOff

Plan = Schedule | TimeOff | HolidayCalendar


async def add_plan(
    session: Executor, clinic: Clinic, me: Me, plan: Plan, doctor_id: UUID | None = None
) -> None:
    """Add a window, an exception, or a calendar of holidays; NotFound for a doctor who is not there."""
    await clinic.gate.write(session, me, Action.CREATE, _resource(plan.id, doctor_id))
    try:
        with fitting(type(plan)):
            await add(session, plan)
    except Invalid as invalid:
        if invalid.errors[0].pointer != "/doctor_id":
            raise
        raise NotFound("there is no such doctor") from None


async def add_holidays(session: Executor, clinic: Clinic, me: Me, calendar: str) -> HolidayCalendar:
    """Close the clinic on the public holidays of `US-MA`, `DE` and the like."""
    calendar = calendar.upper()
    country, _, subdivision = calendar.partition("-")
    known = public.list_supported_countries()
    if country not in known or (subdivision and subdivision not in known[country]):
        fault = FieldError("/calendar", "unknown", "no holidays are known of such a place")
        raise Invalid(errors=[fault])
    row = HolidayCalendar(calendar=calendar)
    kept = Conflict("these holidays are kept already", code="holidays-kept")
    with meaning(kept, "uq-holiday-calendar-calendar"):
        await add_plan(session, clinic, me, row)
    return row


async def change_plan(
    session: Executor,
    clinic: Clinic,
    me: Me,
    kind: type[Plan],
    doctor_id: UUID | None,
    plan_id: UUID,
    version: int | None,
    values: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Change some fields of a doctor's window or exception, and return the whole."""
    await clinic.gate.write(session, me, Action.UPDATE, _resource(plan_id, doctor_id))
    await _theirs(session, kind, doctor_id, plan_id)
    with fitting(kind):
        return await revise(session, kind, plan_id, version, **values)


async def remove_plan(
    session: Executor,
    clinic: Clinic,
    me: Me,
    kind: type[Plan],
    doctor_id: UUID | None,
    plan_id: UUID,
    version: int | None,
) -> None:
    """Remove a window or an exception. What is booked in it stays booked."""
    await clinic.gate.write(session, me, Action.DELETE, _resource(plan_id, doctor_id))
    row = await _theirs(session, kind, doctor_id, plan_id)
    if version not in (None, row["version"]):
        raise PreconditionFailed("it has changed since you read it")
    table = table_of(kind)
    await session.execute(delete(table).where(table.c.id == plan_id))


async def list_plans(
    clinic: Clinic,
    me: Me,
    kind: type[Plan],
    doctor_id: UUID | None,
    *,
    limit: int,
    after: UUID | None = None,
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return a doctor's windows or exceptions, or the clinic's; of exceptions, those that are not over."""
    await clinic.gate.require(me, Action.SEARCH, _resource(None, doctor_id))
    table = table_of(kind)
    statement = select(table).order_by(table.c.id).limit(limit + 1)
    if kind is not HolidayCalendar:
        statement = statement.where(table.c.doctor_id.is_not_distinct_from(doctor_id))
    if kind is TimeOff:
        statement = statement.where(table.c.ends_at > now())
    if after:
        statement = statement.where(table.c.id > after)
    rows = await clinic.database.select(statement)
    return cut(rows, limit, "id")


async def _theirs(
    session: Executor, kind: type[Plan], doctor_id: UUID | None, plan_id: UUID
) -> Mapping[str, Any]:
    """Return the row, locked, if it is of the doctor that was decided on; else raise NotFound."""
    table = table_of(kind)
    statement = select(table).where(table.c.id == plan_id).with_for_update()
    if kind is not HolidayCalendar:
        statement = statement.where(table.c.doctor_id.is_not_distinct_from(doctor_id))
    found: Mapping[str, Any] | None = (await session.execute(statement)).mappings().first()
    if found is None:
        raise NotFound(f"there is no such {table.name.replace('_', ' ')}")
    return found


def _resource(plan_id: UUID | None, doctor_id: UUID | None) -> Resource:
    return Resource(ResourceType.SCHEDULE, id=plan_id, doctor_id=doctor_id)
