"""Alerts about the trail, and their review. For compliance."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.bodies import Strict, Trimmed, shown
from api.deps import Clinic, Me, Transaction
from api.etags import etag
from api.json import Json
from api.paging import Listing, Page
from records.compliance import alerts
from records.compliance.models import AlertState, Resolution

router = APIRouter(prefix="/audit/alerts", tags=["audit"])


class AlertView(BaseModel):
    """Something in the trail that a rule finds worth a look."""

    id: UUID
    rule: str = Field(examples=["R8"])
    meaning: str = Field(description="what the rule looks for")
    actor: UUID | None
    patient: UUID | None
    events: list[UUID] = Field(description="the audit events it is about, 50 at most")
    count: int
    state: AlertState
    assignee: UUID | None = Field(description="the account that looks into it")
    resolution: Resolution | None
    reason: str | None
    version: int
    found_at: datetime
    resolved_at: datetime | None


class Assignment(Strict):
    """Who is to look into an alert."""

    assignee: UUID | None = Field(None, description="an account; the caller unless given")


class Review(Trimmed):
    """What a review came to."""

    resolution: Resolution
    reason: str = Field(min_length=3, max_length=500, description="why; nothing about the patient")


@router.get("", operation_id="list_alerts", response_model=Listing[AlertView])
async def get_alerts(
    clinic: Clinic,
    me: Me,
    page: Page,
    state: AlertState | None = None,
    rule: Annotated[str | None, Query(max_length=4)] = None,
    actor: UUID | None = None,
    patient: UUID | None = None,
) -> Response:
    """List alerts, newest first."""
    wanted = {"state": state, "rule": rule, "actor": actor, "patient": patient}
    found, last = await alerts.list_alerts(clinic, me, wanted, limit=page.limit, after=page.after)
    return page.listed([shown(AlertView, a) for a in found], last)


@router.get("/{alert_id}", operation_id="read_alert", response_model=AlertView)
async def get_alert(alert_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one alert."""
    alert = await alerts.read_alert(clinic, me, alert_id)
    return Json(shown(AlertView, alert), headers={"ETag": etag(alert["version"])})


@router.post("/{alert_id}/assign", operation_id="assign_alert", response_model=AlertView)
async def post_assign(
    alert_id: UUID, given: Assignment, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Give an alert to somebody who looks into it."""
    to = given.assignee or me.subject.id
    return Json(shown(AlertView, await alerts.assign(session, clinic, me, alert_id, to)))


@router.post("/{alert_id}/resolve", operation_id="resolve_alert", response_model=AlertView)
async def post_resolve(
    alert_id: UUID, review: Review, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Say what the review came to, and why. It is final."""
    made = await alerts.resolve(session, clinic, me, alert_id, review.resolution, review.reason)
    return Json(shown(AlertView, made))
