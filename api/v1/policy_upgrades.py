"""The rules that come with the software, for a clinic that keeps its own: what is new in them, and a draft of it."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.bodies import Strict
from api.deps import Clinic, Me, Transaction
from api.etags import etag
from api.json import Json
from api.once import once
from api.v1.policies import DraftView, Reason, RuleBody, get_draft, shown_draft
from records.governance import upgrading

router = APIRouter(prefix="/policies/upgrade", tags=["policies"])

Ids = Annotated[list[str], Field(examples=[["record-read-nurse"]])]


class UpgradeView(BaseModel):
    """What the software's rules of today would change of those in force."""

    base_version: int = Field(
        description="the last version that came with the software, or in which an upgrade was put in force"
    )
    version: int = Field(description="the version in force")
    put: list[RuleBody] = Field(description="new in the software, or changed and left alone here")
    remove: Ids = Field(description="gone from the software, and left alone here")
    kept: Ids = Field(description="changed there and here: they stay as they are here")


class UpgradeOrder(Strict):
    """Why the rules are brought up to date."""

    reason: Reason


@router.get("", operation_id="read_policy_upgrade", response_model=UpgradeView)
async def get_upgrade(session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Read what is new in the rules that come with the software. A clinic's own rules are never changed by an update."""
    found = await upgrading.read_upgrade(session, clinic, me)
    return Json(found, 200, {"ETag": etag(found.version)})


@router.post("", operation_id="draft_policy_upgrade", status_code=201, response_model=DraftView)
@once(get_draft, at="/v1/policies/drafts")
async def post_upgrade(
    order: UpgradeOrder, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Make a draft of what is new: to be read, simulated and published like any other."""
    draft = await upgrading.draft_upgrade(session, clinic, me, order.reason)
    return shown_draft(draft, 201, Location=f"/v1/policies/drafts/{draft.id}")
