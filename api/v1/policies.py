"""The rules: those in force, those that were, and drafts of others."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from api.bodies import Strict
from api.deps import STEP_UP, Clinic, Me, Transaction
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, Page, unpaged
from policies.rules import Rule
from records.governance import drafts, publishing, versions
from records.governance.edits import Edit
from records.governance.models import DraftStatus

router = APIRouter(prefix="/policies", tags=["policies"])

Number = Annotated[int, Path(ge=1, le=2_000_000_000)]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="why; not PHI")]


class RuleBody(Strict):
    """One rule. Several roles, resources or actions are parted by blanks; `*` is every resource or action."""

    id: str = Field(max_length=64, examples=["soft-very-restricted"])
    tier: int = Field(
        description="1 hard, 2 emergency, 3 soft, 4 ordinary: the lower decides first"
    )
    subject: str = Field(max_length=200, description="roles or groups", examples=["doctor nurse"])
    resource: str = Field(max_length=200, examples=["record"])
    action: str = Field(max_length=200, examples=["read search"])
    effect: str = Field(max_length=10, description="allow or deny", examples=["allow"])
    condition: str = Field(max_length=4000, examples=["r.obj.author_id == r.sub.id"])
    note: str = Field("", max_length=500, description="what it is for, in a sentence")


class PolicyVersionHead(BaseModel):
    """A version of the rules, without them."""

    version: int = Field(ge=1)
    checksum: str = Field(description="SHA-256 of the rules in canonical form")
    reason: str
    author_id: UUID | None = Field(description="who wrote it; null: it came with the software")
    publisher_id: UUID | None = Field(description="who put it in force: never its author")
    draft_id: UUID | None
    restored: int | None = Field(description="the version whose rules it has again")
    published_at: datetime
    rule_count: int


class PolicyVersionView(PolicyVersionHead):
    """A version of the rules, in the order in which they decide."""

    rules: list[RuleBody]


class ProcessView(BaseModel):
    """A process that decides now."""

    process: UUID
    version: int = Field(description="the version it decides by")
    current: bool = Field(description="whether that is the version in force")
    seen_at: datetime = Field(description="when it last looked")


class FindingView(BaseModel):
    """Something in a draft worth a second look."""

    code: str = Field(examples=["shadowed"])
    rule: str | None = Field(description="the rule it is about; null: the whole set")
    about: str | None = Field(description="an attribute, or the rule that was there before")
    message: str


class ChangesView(BaseModel):
    """The ids by which a draft differs from the rules it started from."""

    added: list[str]
    removed: list[str]
    changed: list[str]


class DraftHead(BaseModel):
    """A draft, without its rules."""

    id: UUID
    version: int = Field(ge=1, description="counts the writes; the ETag")
    status: DraftStatus
    author_id: UUID = Field(description="who wrote on it last")
    base_version: int = Field(description="the version in force it was made for")
    reason: str
    created_at: datetime
    updated_at: datetime


class DraftView(DraftHead):
    """A draft with its rules, what is new in them, and what the lint says."""

    checksum: str
    rules: list[RuleBody]
    changes: ChangesView
    findings: list[FindingView]


class NewDraft(Strict):
    """Rules to propose: a whole set, or the rules in force with some put in (by id) and some taken out."""

    reason: Reason
    rules: list[RuleBody] | None = Field(
        None, max_length=5000, description="absent: those in force"
    )
    put: list[RuleBody] = Field(default_factory=list, max_length=500)
    remove: list[str] = Field(default_factory=list, max_length=500)


class DraftChange(NewDraft):
    """What to change of a draft."""

    reason: Reason | None = None  # type: ignore[assignment]


@router.get("", operation_id="read_policy", response_model=PolicyVersionView)
async def get_policy(clinic: Clinic, me: Me) -> Response:
    """Read the rules in force. The ETag is what publishing needs as If-Match."""
    return _version(await versions.rules_in_force(clinic, me))


@router.get("/processes", operation_id="list_policy_processes", response_model=Listing[ProcessView])
async def get_processes(clinic: Clinic, me: Me) -> Response:
    """List the processes that decide now: after a publication all are `current` within a second."""
    return unpaged(await versions.list_processes(clinic, me))


@router.get(
    "/versions", operation_id="list_policy_versions", response_model=Listing[PolicyVersionHead]
)
async def get_versions(clinic: Clinic, me: Me, page: Page) -> Response:
    """List every version there was, newest first."""
    items, last = await versions.list_versions(clinic, me, limit=page.limit, before=page.number)
    return page.listed(items, UUID(int=last) if last else None)


@router.get(
    "/versions/{version}", operation_id="read_policy_version", response_model=PolicyVersionView
)
async def get_version(version: Number, clinic: Clinic, me: Me) -> Response:
    """Read one version with its rules."""
    return _version(await versions.read_version(clinic, me, version))


@router.post(
    "/versions/{version}/restore",
    operation_id="restore_policy_version",
    dependencies=[STEP_UP],
    status_code=201,
    response_model=PolicyVersionView,
)
async def post_restore(
    version: Number, session: Transaction, clinic: Clinic, me: Me, seen: MustHaveSeen
) -> Response:
    """Put an earlier version's rules in force again, as a new version. If-Match is the version in force."""
    new = await publishing.restore(session, clinic, me, version, seen)
    return _version(await versions.whole(session, new), 201)


@router.get("/drafts", operation_id="list_policy_drafts", response_model=Listing[DraftHead])
async def get_drafts(clinic: Clinic, me: Me, page: Page) -> Response:
    """List drafts, newest first."""
    items, last = await drafts.list_drafts(clinic, me, limit=page.limit, after=page.after)
    return page.listed(items, last)


@router.get("/drafts/{draft_id}", operation_id="read_policy_draft", response_model=DraftView)
async def get_draft(draft_id: UUID, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Read a draft."""
    return shown_draft(await drafts.read_draft(session, clinic, me, draft_id))


@router.post("/drafts", operation_id="draft_policy", status_code=201, response_model=DraftView)
@once(get_draft)
async def post_draft(new: NewDraft, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Propose rules. What is broken is refused with its place; what is odd stands in `findings`."""
    draft = await drafts.start_draft(session, clinic, me, _edit(new))
    return shown_draft(draft, 201, Location=f"/v1/policies/drafts/{draft.id}")


@router.patch("/drafts/{draft_id}", operation_id="change_policy_draft", response_model=DraftView)
async def patch_draft(
    draft_id: UUID,
    change: DraftChange,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
) -> Response:
    """Write on a draft of your own. It is then meant for the rules in force now."""
    return shown_draft(
        await drafts.change_draft(session, clinic, me, draft_id, _edit(change), seen)
    )


@router.delete("/drafts/{draft_id}", operation_id="discard_policy_draft", status_code=204)
async def delete_draft(
    draft_id: UUID, session: Transaction, clinic: Clinic, me: Me, seen: MustHaveSeen
) -> None:
    """Drop a draft of your own."""
    await drafts.discard_draft(session, clinic, me, draft_id, seen)


@router.post(
    "/drafts/{draft_id}/publish",
    operation_id="publish_policy_draft",
    dependencies=[STEP_UP],
    response_model=PolicyVersionView,
)
async def post_publish(
    draft_id: UUID, session: Transaction, clinic: Clinic, me: Me, seen: MustHaveSeen
) -> Response:
    """Put another's draft in force. If-Match is the version in force; every process follows within a second."""
    new = await publishing.publish_draft(session, clinic, me, draft_id, seen)
    return _version(await versions.whole(session, new))


def _edit(body: NewDraft) -> Edit:
    rules = None if body.rules is None else [Rule(**r.model_dump()) for r in body.rules]
    put = [Rule(**r.model_dump()) for r in body.put]
    return Edit(body.reason, rules, put, body.remove)


def _version(found: Mapping[str, Any], status: int = 200) -> Response:
    return Json(found, status, {"ETag": etag(found["version"])})


def shown_draft(draft: drafts.OpenDraft, status: int = 200, **headers: str) -> Response:
    """Return a draft as an answer."""
    return Json(draft, status, {"ETag": etag(draft.version), **headers})
