"""Who is on duty: doctors by their hours, others by the shifts that the front desk keeps for them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import FieldError, Invalid, NotFound
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.base import add, table_of
from records.clinic import Clinic
from records.identity.callers import forget
from records.identity.models import Account
from records.identity.presence import AccountShift
from records.meanings import fitting

_shift, _account = table_of(AccountShift).c, table_of(Account).c


async def add_shift(
    session: AsyncSession,
    clinic: Clinic,
    me: Me,
    account_id: UUID,
    starts_at: datetime,
    ends_at: datetime,
) -> Mapping[str, Any]:
    """Put somebody on duty from one time to another; NotFound for an account that is not there."""
    row = AccountShift(account_id=account_id, starts_at=starts_at, ends_at=ends_at)
    await clinic.gate.write(session, me, Action.CREATE, _resource(row.id))
    try:
        with fitting(AccountShift):
            await add(session, row)
    except Invalid as invalid:
        if invalid.errors[0].pointer == "/account_id":
            raise NotFound("there is no such account") from None
        fault = FieldError("/end", "length", "a shift ends after it starts, within a day")
        raise Invalid(errors=[fault]) from None
    forget(session)
    return row.model_dump()


async def list_shifts(
    clinic: Clinic, me: Me, account_id: UUID, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return the shifts of an account that are not over, in the order they were made."""
    await clinic.gate.require(me, Action.SEARCH, _resource(None))
    statement = select(*_shift).where(_shift.account_id == account_id, _shift.ends_at > func.now())
    if after:
        statement = statement.where(_shift.id > after)
    rows = await clinic.database.select(statement.order_by(_shift.id).limit(limit + 1))
    there = select(_account.id).where(_account.id == account_id)
    if not rows and not await clinic.database.select(there):
        raise NotFound("there is no such account")
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None


async def remove_shift(
    session: AsyncSession, clinic: Clinic, me: Me, account_id: UUID, shift_id: UUID
) -> None:
    """Take somebody off duty then."""
    await clinic.gate.write(session, me, Action.DELETE, _resource(shift_id))
    gone = delete(AccountShift).where(_shift.id == shift_id, _shift.account_id == account_id)
    if (await session.execute(gone.returning(_shift.id))).first() is None:
        raise NotFound("there is no such shift")
    forget(session)


def _resource(shift_id: UUID | None) -> Resource:
    return Resource(ResourceType.SCHEDULE, id=shift_id)
