"""Who may, and why? Asked about anybody by those who keep or check the rules, about oneself by everybody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from core.errors import NotFound
from policies.enforcer import PolicySnapshot
from policies.explain import Candidate, Explanation, explain
from policies.facts import Environment, Resource
from policies.rules import Rule
from policies.vocabulary import Action, Purpose, ResourceType
from records.access.me import Me
from records.clinic import Clinic
from records.governance import sight
from records.governance.versions import POLICIES
from records.identity.callers import Caller, everybody


@dataclass(frozen=True, slots=True)
class Question:
    """May this account do this to that thing. The purpose is its usual one, unless another is given."""

    subject: UUID
    action: Action
    kind: ResourceType
    row_id: UUID | None
    purpose: Purpose | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision with as much of its reasons as its reader may know."""

    explanation: Explanation
    candidates: Sequence[Candidate]
    nearest: Candidate | None


async def check(
    clinic: Clinic, me: Me, question: Question, draft: Sequence[Rule] | None = None
) -> Answer:
    """Decide for an account as if it asked now, by the rules in force or by a draft; say why.

    Readers of the rules hear everything. Others ask about themselves: they hear of rules for their own roles, and of
    a thing they may not see no more than of one that does not exist.
    """
    about = Resource(ResourceType.POLICY, id=question.row_id, author_id=question.subject)
    await clinic.gate.read(me, Action.EXPLAIN, about)
    whole = clinic.gate.may(me, Action.READ, POLICIES)
    asker = await _caller(clinic, me, question)
    snapshot = _snapshot(clinic, draft if whole else None)
    resource = await _resource(clinic, asker, question)
    who = asker.subject, Action.READ
    if not (whole or snapshot.decide(*who, resource, asker.environment).allowed):
        resource = Resource(question.kind, id=question.row_id)
    found = explain(snapshot, asker.subject, question.action, resource, asker.environment)
    if whole:
        return Answer(found, found.candidates, found.nearest)
    hidden = not found.decision.allowed and question.kind in sight.PROTECTED
    mine = [] if hidden else [c for c in found.candidates if c.role_matched]
    return Answer(found, mine, None)


async def who_can(clinic: Clinic, me: Me, question: Question) -> Sequence[Mapping[str, Any]]:
    """Return the active accounts that may do this to one thing, each with the rule that says so."""
    await clinic.gate.read(me, Action.EXPLAIN, Resource(ResourceType.POLICY, id=question.row_id))
    snapshot = clinic.policy.snapshot
    found = []
    for known in await everybody(clinic.database):
        asker = _asker(me, known, question.purpose)
        resource = await _resource(clinic, asker, question)
        decision = snapshot.decide(asker.subject, question.action, resource, asker.environment)
        if decision.allowed:
            roles = sorted(known.subject.roles)
            found.append({"account_id": known.subject.id, "roles": roles, "rule": decision.rule_id})
    return found


async def _caller(clinic: Clinic, me: Me, question: Question) -> Me:
    known = await everybody(clinic.database, question.subject)
    if not known:
        raise NotFound("there is no such account, or it is not active")
    return _asker(me, known[0], question.purpose)


def _asker(me: Me, known: Caller, purpose: Purpose | None) -> Me:
    environment = Environment(purpose) if purpose else known.environment
    return Me(known.subject, environment, me.origin)


async def _resource(clinic: Clinic, asker: Me, question: Question) -> Resource:
    """Return the thing's facts as they are for the asker; all unknown where there is no such thing."""
    if question.row_id is None:
        return Resource(question.kind)
    found = await sight.facts(clinic.database, asker, question.kind, [question.row_id])
    return found.get(question.row_id, Resource(question.kind, id=question.row_id))


def _snapshot(clinic: Clinic, draft: Sequence[Rule] | None) -> PolicySnapshot:
    in_force = clinic.policy.snapshot
    return in_force if draft is None else PolicySnapshot.build(in_force.version, draft)
