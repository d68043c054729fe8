"""The audit trail, for compliance. Looking at it is an event of its own."""

from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.bodies import Strict
from api.deps import Clinic, Me
from api.json import Json
from api.paging import Listing, Page
from api.times import Instant
from policies.vocabulary import Outcome, Purpose, ResourceType
from records.audit.balp import audit_event
from records.audit.event import Failure
from records.audit.queries import Filters
from records.compliance.trail import list_events, read_event

router = APIRouter(prefix="/audit", tags=["audit"])

FHIR = "application/fhir+json"


class EventView(BaseModel):
    """One act: who did what to whose data, why, and what came of it. Ids and codes only."""

    model_config = ConfigDict(extra="allow")

    id: UUID
    occurred_at: AwareDatetime
    recorded_at: AwareDatetime = Field(description="when the ledger took it")
    actor: UUID | None = Field(description="the account that acted")
    roles: list[str]
    action: str = Field(examples=["read"])
    outcome: Outcome | Failure
    purpose: Purpose
    patient: UUID | None
    resource_type: ResourceType
    resource_ids: list[UUID]
    rule: str | None = Field(description="the policy rule that decided; null when none applied")
    policy_version: int | None
    break_glass: bool
    endpoint: str
    request_id: str
    explanation: dict[str, Any] | None = Field(
        None, description="the rule that decided, as it was then; when one event is read"
    )


class EventFilters(Strict):
    """Which events, in any combination: those that all of it fits."""

    actor: UUID | None = None
    patient: UUID | None = None
    action: str | None = Field(None, max_length=40)
    outcome: Outcome | Failure | None = None
    resource_type: ResourceType | None = None
    resource_id: UUID | None = None
    purpose: Purpose | None = None
    break_glass: bool | None = None
    request_id: str | None = Field(None, max_length=64)
    since: Instant | None = Field(None, alias="from")
    until: Instant | None = Field(None, alias="to")


@router.get("/events", operation_id="list_audit_events", response_model=Listing[EventView])
async def get_events(
    clinic: Clinic,
    me: Me,
    page: Page,
    actor: UUID | None = None,
    patient: UUID | None = None,
    action: Annotated[str | None, Query(max_length=40)] = None,
    outcome: Outcome | Failure | None = None,
    resource_type: ResourceType | None = None,
    resource_id: UUID | None = None,
    purpose: Purpose | None = None,
    break_glass: bool | None = None,
    request_id: Annotated[str | None, Query(max_length=64)] = None,
    since: Annotated[Instant | None, Query(alias="from")] = None,
    until: Annotated[Instant | None, Query(alias="to")] = None,
) -> Response:
    """List events of the ledger, newest first, under any combination of filters."""
    filters = Filters(
        actor,
        patient,
        action,
        outcome,
        resource_type,
        resource_id,
        purpose,
        break_glass,
        request_id,
        since,
        until,
    )
    items, last = await list_events(clinic, me, filters, limit=page.limit, after=page.after)
    return page.listed([view(e) for e in items], last)


@router.get(
    "/events/{event_id}", operation_id="read_audit_event", response_model=EventView,
    responses={200: {"content": {FHIR: {"schema": {"type": "object"}}}}},
)  # fmt: skip
async def get_event(event_id: UUID, request: Request, clinic: Clinic, me: Me) -> Response:
    """Read one event of the ledger, with the rule that decided; as FHIR AuditEvent to those who accept that."""
    event = await read_event(clinic, me, event_id)
    if FHIR in request.headers.get("accept", ""):
        return _fhir(event, request)
    return Json(view(event))


@router.get(
    "/events/{event_id}/fhir", operation_id="read_audit_event_fhir", response_class=Response,
    responses={200: {"content": {FHIR: {"schema": {"type": "object"}}}}},
)  # fmt: skip
async def get_event_fhir(event_id: UUID, request: Request, clinic: Clinic, me: Me) -> Response:
    """Read one event as FHIR R4 AuditEvent, in the profiles of IHE BALP."""
    return _fhir(await read_event(clinic, me, event_id), request)


def _fhir(event: Any, request: Request) -> Response:
    body = audit_event(event, request.app.state.settings.issuer)
    return Response(orjson.dumps(body), media_type=FHIR)


def view(event: Any) -> dict[str, Any]:
    """Add `resource_id`, the name the filter has, for acts on one thing."""
    ids = event["resource_ids"]
    return {**event, "resource_id": ids[0] if len(ids) == 1 else None}
