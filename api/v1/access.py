"""Who saw a record: for the patient, and for compliance."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from api.deps import Clinic, Me
from api.paging import Listing, Page
from policies.vocabulary import Outcome, Purpose, ResourceType
from records.audit.event import Failure
from records.compliance.access_report import access_proof, access_report

router = APIRouter(prefix="/patients/{patient_id}/access-report", tags=["audit"])


class AccessView(BaseModel):
    """One act on the patient's data."""

    event_id: UUID
    occurred_at: datetime
    actor: UUID | None = Field(description="the account that acted")
    actor_name: str | None = Field(
        description="a doctor's name, or how the clinic calls the account"
    )
    roles: list[str]
    action: str
    outcome: Outcome | Failure
    purpose: Purpose
    resource_type: ResourceType
    resource_ids: list[UUID]
    break_glass: bool
    leaf_index: int | None = Field(
        description="its place in the sealed log; null until it is sealed"
    )
    entry: str = Field(description="the exact text that is sealed, for checking its proof")


class ActorView(BaseModel):
    """How often somebody acted on the patient's data."""

    actor: UUID | None
    actor_name: str | None
    times: int
    first: datetime
    last: datetime


class AccessReport(Listing[AccessView]):
    """A page of acts, newest first, and a summary over all of them."""

    patient_id: UUID
    summary: list[ActorView]


@router.get("", operation_id="read_access_report", response_model=AccessReport)
async def get_access_report(
    patient_id: UUID,
    clinic: Clinic,
    me: Me,
    page: Page,
    refused: Annotated[bool, Query(description="show attempts that were refused as well")] = False,
) -> Response:
    """List who did what to the patient's data, newest first."""
    items, summary, last = await access_report(
        clinic, me, patient_id, refused=refused, limit=page.limit, after=page.after
    )
    return page.listed(items, last, patient_id=patient_id, summary=summary)


@router.get("/{event_id}/proof", operation_id="read_access_proof", response_class=PlainTextResponse)
async def get_access_proof(patient_id: UUID, event_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read the proof that an act of the report is in the sealed log (c2sp.org/tlog-proof)."""
    return PlainTextResponse(await access_proof(clinic, me, patient_id, event_id))
