"""Saved searches of the audit trail. For compliance."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.bodies import Strict
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, Page, unpaged
from api.v1.audit import EventFilters, EventView, view
from records.audit.queries import Filters
from records.compliance import searches
from records.compliance.trail import list_events

router = APIRouter(prefix="/audit/searches", tags=["audit"])

Name = Annotated[
    str,
    Field(
        pattern="^[a-z0-9][a-z0-9-]{0,59}$",
        description="small letters, digits and hyphens; nothing about a patient",
        examples=["refusals-of-the-night"],
    ),
]


class NewSearch(Strict):
    """A search to save."""

    name: Name
    filters: EventFilters = Field(description="as in the list of events")


class SearchView(BaseModel):
    """A saved search."""

    id: UUID
    name: str
    filters: dict[str, Any] = Field(description="as in the list of events")
    saved_by: UUID
    version: int
    created_at: datetime


@router.get("", operation_id="list_audit_searches", response_model=Listing[SearchView])
async def get_searches(clinic: Clinic, me: Me) -> Response:
    """List the saved searches by name; there are few, and no pages."""
    found = await searches.list_searches(clinic, me)
    return unpaged([_view(s) for s in found])


@router.get("/{search_id}", operation_id="read_audit_search", response_model=SearchView)
async def get_search(search_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one saved search."""
    found = await searches.read_search(clinic, me, search_id)
    return Json(_view(found), headers={"ETag": etag(found["version"])})


@router.post("", operation_id="save_audit_search", status_code=201, response_model=SearchView)
@once(get_search)
async def post_search(new: NewSearch, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Save filters of the trail under a name, for everybody who checks it."""
    filters = Filters(**new.filters.model_dump())
    made = await searches.save(session, clinic, me, new.name, filters)
    headers = {"Location": f"/v1/audit/searches/{made['id']}", "ETag": etag(made["version"])}
    return Json(_view(made), 201, headers)


@router.get(
    "/{search_id}/events", operation_id="run_audit_search", response_model=Listing[EventView]
)
async def get_found(search_id: UUID, clinic: Clinic, me: Me, page: Page) -> Response:
    """List what a saved search finds now, newest first."""
    filters = Filters.of((await searches.read_search(clinic, me, search_id))["filters"])
    items, last = await list_events(clinic, me, filters, limit=page.limit, after=page.after)
    return page.listed([view(e) for e in items], last)


@router.delete("/{search_id}", operation_id="forget_audit_search", status_code=204)
async def delete_search(
    search_id: UUID, session: Transaction, clinic: Clinic, me: Me, seen: MustHaveSeen
) -> None:
    """Remove a saved search."""
    await searches.forget(session, clinic, me, search_id, seen)


def _view(search: Any) -> dict[str, Any]:
    named = {"since": "from", "until": "to"}
    filters = {named.get(n, n): value for n, value in search["filters"].items()}
    return {**{n: search[n] for n in SearchView.model_fields}, "filters": filters}
