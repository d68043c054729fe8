"""Why? Every rule that could have decided, with what of its condition was true, false or not known.

The trace is worked out apart from the engine, on the formula itself, and must come to the engine's answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from policies.closures import Closure, to_closure
from policies.enforcer import Decision, PolicySnapshot
from policies.facts import Environment, Resource, Subject
from policies.formula import AllOf, Always, AnyOf, Formula, Known, Leaf, attributes
from policies.grammar import BadCondition, parse
from policies.rules import Rule
from policies.shards import Line
from policies.vocabulary import Action, Outcome, ResourceType
from policies.wording import as_text


class Truth(StrEnum):
    """Kleene's three."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Part:
    """One of the terms that a condition joins by `and`; its text has attributes and literals, no facts."""

    text: str
    truth: Truth


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule about this action on this kind of thing, and whether it applied here."""

    rule: Rule
    role_matched: bool
    condition: Truth
    applies: bool
    parts: Sequence[Part]

    @property
    def missing(self) -> Sequence[Part]:
        """What would have to be true besides for an allow to grant."""
        return [part for part in self.parts if part.truth is not Truth.TRUE]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with its reasons, in the order in which rules decide."""

    decision: Decision
    candidates: Sequence[Candidate]
    nearest: Candidate | None


class Disagreement(Exception):
    """The trace and the engine part ways: a bug of ours, never to be shown as an explanation."""


_Facts = tuple[Subject, Resource, Environment]


def explain(
    snapshot: PolicySnapshot,
    subject: Subject,
    action: Action,
    resource: Resource,
    environment: Environment,
) -> Explanation:
    """Decide, and say why."""
    facts = subject, resource, environment
    candidates = [_candidate(line, facts) for line in snapshot.lines(resource.type, action)]
    decision = snapshot.decide(subject, action, resource, environment)
    first = next((c for c in candidates if c.applies), None)
    if decision.rule_id != (first.rule.id if first else None):
        raise Disagreement(f"{decision.rule_id} decided")
    return Explanation(decision, candidates, None if decision.allowed else _nearest(candidates))


def facts_of(rule_condition: str, kind: ResourceType) -> list[str]:
    """Return the facts that a condition joins by `and`: what was so, where its rule decided.

    An empty list for a condition that today's vocabulary does not know any more.
    """
    try:
        formula = parse(rule_condition, kind)
    except BadCondition:
        return []
    terms = formula.parts if isinstance(formula, AllOf) else (formula,)
    return [as_text(term) for term in terms if not isinstance(term, Always)]


def _candidate(line: Line, facts: _Facts) -> Candidate:
    formula = parse(line.rule.condition, facts[1].type)
    terms = formula.parts if isinstance(formula, AllOf) else (formula,)
    truth, mine = _truth(formula, facts), not line.roles.isdisjoint(facts[0].roles)
    granting = line.rule.effect == Outcome.ALLOW
    holds = truth is Truth.TRUE or (truth is Truth.UNKNOWN and not granting)
    parts = [Part(as_text(term), _truth(term, facts)) for term in terms]
    return Candidate(line.rule, mine, truth, mine and holds, parts)


def _nearest(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the allow that lacks least, one of the caller's own roles and an ordinary one first."""
    allows = [c for c in candidates if c.rule.effect == Outcome.ALLOW]
    return min(allows, key=_distance, default=None)


def _distance(candidate: Candidate) -> tuple[bool, int, int]:
    return not candidate.role_matched, len(candidate.missing), -candidate.rule.tier


def _truth(formula: Formula, facts: _Facts) -> Truth:
    match formula:
        case Always(value):
            return Truth.TRUE if value else Truth.FALSE
        case AllOf(parts):
            return _worst(_truths(parts, facts), _ALL)
        case AnyOf(parts):
            return _worst(_truths(parts, facts), _ANY)
        case leaf:
            return _leaf(leaf, facts)


_ALL: Final = (Truth.FALSE, Truth.UNKNOWN, Truth.TRUE)
_ANY: Final = (Truth.TRUE, Truth.UNKNOWN, Truth.FALSE)


def _truths(parts: Sequence[Formula], facts: _Facts) -> Iterator[Truth]:
    return (_truth(part, facts) for part in parts)


def _worst(found: Iterator[Truth], order: Sequence[Truth]) -> Truth:
    """Return the first of `order` that was found: what settles AND, or OR."""
    seen = set(found)
    return next((truth for truth in order if truth in seen), order[-1])


def _leaf(leaf: Leaf, facts: _Facts) -> Truth:
    roots = dict(zip(("sub", "obj", "env"), facts, strict=True))
    values = [getattr(roots[attr.root], attr.name) for attr in attributes(leaf)]
    if not isinstance(leaf, Known) and None in values:
        return Truth.UNKNOWN
    return Truth.TRUE if _closure(leaf)(*facts) else Truth.FALSE


@cache
def _closure(leaf: Leaf) -> Closure:
    return to_closure(leaf)
