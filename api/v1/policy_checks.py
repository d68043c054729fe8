"""Questions to the rules: may somebody do something, why, and who else may."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, BeforeValidator, Field

from api.bodies import Strict
from api.deps import Clinic, Me, Transaction
from api.json import Json
from api.paging import Listing, unpaged
from policies.explain import Candidate, Part, Truth
from policies.rules import TIERS, Rule
from policies.vocabulary import Action, Outcome, Purpose, ResourceType, Role
from records.governance import explaining
from records.governance.drafts import read_draft
from records.governance.explaining import Answer, Question

router = APIRouter(prefix="/policies", tags=["policies"])


class Thing(Strict):
    """What is asked about. Without an id: any such thing, with nothing known of it."""

    type: ResourceType
    id: UUID | None = None


def _account(value: object) -> object:
    return value.get("account_id", value.get("id")) if isinstance(value, Mapping) else value


Account = Annotated[
    UUID,
    BeforeValidator(_account, json_schema_input_type=UUID | dict[str, UUID]),
    Field(description="the account, or `{account_id}`"),
]


class WhoCan(Strict):
    """An action on one thing."""

    action: Action = Action.READ
    resource: Thing
    purpose: Purpose | None = Field(None, description="absent: what is usual for the account")


class Check(WhoCan):
    """A question: may this account do this to that thing."""

    subject: Account
    draft_id: UUID | None = Field(None, description="ask a draft instead of the rules in force")


class PartView(BaseModel):
    """One of the terms that the condition joins by `and`."""

    text: str = Field(examples=["r.obj.in_care_team"])
    truth: Truth


class CandidateView(BaseModel):
    """A rule about this action on this kind of thing."""

    rule_id: str
    tier: int
    tier_name: str
    effect: Outcome
    note: str
    condition: str
    role_matched: bool
    truth: Truth = Field(description="of the whole condition")
    applies: bool = Field(description="unknown never grants and always denies")
    parts: list[PartView]


class NearestView(BaseModel):
    """The allow that lacks least."""

    rule_id: str
    role_matched: bool
    missing: list[PartView]


class CheckView(BaseModel):
    """A decision and its reasons, in the order in which rules decide. Facts are told as true or false, never shown."""

    decision: Outcome
    allowed: bool
    rule_id: str | None = Field(description="the rule that decided; null: none applied")
    tier: int | None
    version: int
    candidates: list[CandidateView]
    nearest_allow: NearestView | None


class MayView(BaseModel):
    """An account that may."""

    account_id: UUID
    roles: list[Role]
    rule: str = Field(description="the rule that says so")


@router.post("/check", operation_id="check_policy", response_model=CheckView)
async def post_check(asked: Check, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Decide as if somebody asked now, and explain it. Nothing is read, and the question is on the trail."""
    rules: Sequence[Rule] | None = None
    if asked.draft_id:
        rules = (await read_draft(session, clinic, me, asked.draft_id)).rules
    question = _question(asked, asked.subject)
    return Json(_answer(await explaining.check(clinic, me, question, rules)))


@router.post("/who-can", operation_id="who_can", response_model=Listing[MayView])
async def post_who_can(asked: WhoCan, clinic: Clinic, me: Me) -> Response:
    """List the accounts that may do something to one thing now, each with the rule that says so."""
    found = await explaining.who_can(clinic, me, _question(asked, me.subject.id))
    return unpaged(found)


def _question(asked: WhoCan, subject: UUID) -> Question:
    thing = asked.resource
    return Question(subject, asked.action, thing.type, thing.id, asked.purpose)


def _answer(answer: Answer) -> dict[str, Any]:
    decision, nearest = answer.explanation.decision, answer.nearest
    applied = (c.rule.tier for c in answer.explanation.candidates if c.applies)
    return {
        "decision": decision.outcome,
        "allowed": decision.allowed,
        "rule_id": decision.rule_id if answer.candidates else None,
        "tier": next(applied, None) if answer.candidates else None,
        "version": decision.version,
        "candidates": [_candidate(c) for c in answer.candidates],
        "nearest_allow": nearest and _nearest(nearest),
    }


def _candidate(found: Candidate) -> dict[str, Any]:
    rule = found.rule
    return {
        "rule_id": rule.id,
        "tier": rule.tier,
        "tier_name": TIERS[rule.tier],
        "effect": rule.effect,
        "note": rule.note,
        "condition": rule.condition,
        "role_matched": found.role_matched,
        "truth": found.condition,
        "applies": found.applies,
        "parts": _parts(found.parts),
    }


def _nearest(found: Candidate) -> dict[str, Any]:
    head = {"rule_id": found.rule.id, "role_matched": found.role_matched}
    return {**head, "missing": _parts(found.missing)}


def _parts(parts: Sequence[Part]) -> list[dict[str, Any]]:
    return [{"text": part.text, "truth": part.truth} for part in parts]
