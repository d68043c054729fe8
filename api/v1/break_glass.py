"""Break-glass: emergency access to one patient's chart, granted at once and reviewed afterwards."""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.bodies import Strict
from api.deps import STEP_UP, Clinic, Me, Transaction
from api.json import Json
from api.once import once
from api.paging import Listing, Page
from records.care import emergency

router = APIRouter(prefix="/break-glass", tags=["break-glass"])

Verdict = Literal["justified", "unjustified"]


class NewGrant(Strict):
    """Whose chart, and why. Compliance is told at once, and asks about it within three days."""

    patient_id: UUID
    reason_code: emergency.Reason
    explanation: str = Field(min_length=5, max_length=2000, examples=["Unconscious in the lobby"])
    minutes: int = Field(60, ge=1, le=240, description="how long; four hours at most")


class ReviewIn(Strict):
    """What a reviewer makes of a grant."""

    verdict: Verdict
    remark: str | None = Field(None, min_length=1, max_length=2000)


class GrantView(BaseModel):
    """An emergency grant."""

    id: UUID
    patient_id: UUID
    account_id: UUID = Field(description="who holds it")
    reason_code: emergency.Reason
    explanation: str
    granted_at: datetime
    expires_at: datetime
    review_due_at: datetime
    overdue: bool = Field(description="nobody has reviewed it in time")
    reviewed_by: UUID | None
    reviewed_at: datetime | None
    verdict: Verdict | None
    remark: str | None


@router.get("", operation_id="list_break_glass", response_model=Listing[GrantView])
async def get_grants(
    clinic: Clinic,
    me: Me,
    page: Page,
    reviewed: Annotated[bool | None, Query(description="false: those that wait")] = None,
) -> Response:
    """List grants, newest first: reviewers see those of others, clinicians their own."""
    found, last = await emergency.list_grants(
        clinic, me, limit=page.limit, after=page.after, reviewed=reviewed
    )
    return page.listed(found, last)


@router.get("/{grant_id}", operation_id="read_break_glass", response_model=GrantView)
async def get_grant(grant_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one grant."""
    return Json(await emergency.read_grant(clinic, me, grant_id))


@router.post(
    "",
    operation_id="break_glass",
    status_code=201,
    response_model=GrantView,
    dependencies=[STEP_UP],
)
@once(get_grant)
async def post_grant(new: NewGrant, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Open a patient's chart in an emergency. Every read under the grant is marked on the trail."""
    grant = await emergency.break_glass(
        session,
        clinic,
        me,
        new.patient_id,
        new.reason_code,
        new.explanation,
        timedelta(minutes=new.minutes),
    )
    return Json(grant, 201, {"Location": f"/v1/break-glass/{grant['id']}"})


@router.post("/{grant_id}/end", operation_id="end_break_glass", status_code=204)
async def post_end(grant_id: UUID, session: Transaction, clinic: Clinic, me: Me) -> None:
    """End one's grant before its time."""
    await emergency.end_grant(session, clinic, me, grant_id)


@router.post("/{grant_id}/review", operation_id="review_break_glass", response_model=GrantView)
async def post_review(
    grant_id: UUID, given: ReviewIn, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Say of somebody else's grant whether it was justified: once."""
    justified = given.verdict == "justified"
    return Json(
        await emergency.review(
            session, clinic, me, grant_id, justified=justified, remark=given.remark
        )
    )
