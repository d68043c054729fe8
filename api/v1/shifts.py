"""Shifts: when somebody is on duty. A rule may ask for it (`r.sub.on_shift`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api.bodies import Strict
from api.deps import Clinic, Me, Transaction
from api.json import Json
from api.once import once
from api.paging import Listing, Page
from api.times import Instant
from records.identity import duty

router = APIRouter(prefix="/accounts/{account_id}/shifts", tags=["schedules"])


class NewShift(Strict):
    """A time on duty, of a day at most."""

    start: Instant
    end: Instant


class ShiftView(BaseModel):
    """A time on duty."""

    id: UUID
    account_id: UUID
    start: datetime
    end: datetime


@router.get("", operation_id="list_shifts", response_model=Listing[ShiftView])
async def get_shifts(account_id: UUID, clinic: Clinic, me: Me, page: Page) -> Response:
    """List the shifts that are not over."""
    rows, last = await duty.list_shifts(clinic, me, account_id, limit=page.limit, after=page.after)
    return page.listed([_view(row) for row in rows], last)


@router.post("", operation_id="add_shift", status_code=201, response_model=ShiftView)
@once(get_shifts)
async def post_shift(
    account_id: UUID, new: NewShift, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Put somebody on duty. Doctors are on duty in their hours, without this."""
    row = await duty.add_shift(session, clinic, me, account_id, new.start, new.end)
    path = f"/v1/accounts/{account_id}/shifts/{row['id']}"
    return Json(_view(row), 201, {"Location": path})


@router.delete("/{shift_id}", operation_id="remove_shift", status_code=204)
async def delete_shift(
    account_id: UUID, shift_id: UUID, session: Transaction, clinic: Clinic, me: Me
) -> None:
    """Take somebody off duty then."""
    await duty.remove_shift(session, clinic, me, account_id, shift_id)


def _view(row: Mapping[str, Any]) -> dict[str, Any]:
    own = {"id": row["id"], "account_id": row["account_id"]}
    return own | {"start": row["starts_at"], "end": row["ends_at"]}
