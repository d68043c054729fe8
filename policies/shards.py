"""The rules about one resource type and one action: compiled, in the order in which they decide."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, case, false, literal, not_, null, or_

from policies.conditions import Condition, compile_condition, joined
from policies.facts import Environment, Subject
from policies.predicates import Columns
from policies.rules import Rule
from policies.vocabulary import Action, Outcome, ResourceType, Role

Target = tuple[ResourceType, Action]


@dataclass(frozen=True, slots=True)
class Line:
    """A rule, compiled for one resource type; `roles` are all it addresses, groups opened."""

    rule: Rule
    roles: frozenset[Role]
    condition: Condition


Shard = tuple[Line, ...]


def shard(
    rules: Iterable[Rule], before: Mapping[Target, Shard] | None = None
) -> Mapping[Target, Shard]:
    """Compile checked rules and deal them out by target, each shard in deciding order.

    A tie (same tier and effect) goes by id: it cannot change a decision, only the rule it is credited to. A shard whose
    rules are those it had `before` is that very shard.
    """
    before = before or {}
    dealt: dict[Target, list[Rule]] = defaultdict(list)
    for rule in sorted(rules, key=lambda rule: (rule.priority, rule.id)):
        for target in rule.targets():
            dealt[target].append(rule)
    return {
        target: old
        if (old := before.get(target)) and [line.rule for line in old] == about
        else tuple(_line(rule, target) for rule in about)
        for target, about in dealt.items()
    }


def _line(rule: Rule, target: Target) -> Line:
    return Line(
        rule, rule.roles, compile_condition(rule.condition, target[0], Outcome(rule.effect))
    )


def visible(
    lines: Sequence[Line], subject: Subject, environment: Environment, columns: Columns
) -> ColumnElement[bool]:
    """Return the rows on which `lines` decide "allow": for some tier an allow matches, and no deny up to it.

    With S the rows every deny of a tier spares and A those an allow of it grants, that is
    S1 AND (A1 OR S2 AND (A2 OR …)): each rule is written once, and once for those that differ in a word.
    """
    return _nested(bound(lines, subject), subject, environment, columns)


def bound(lines: Sequence[Line], subject: Subject) -> list[Line]:
    """Return the rules that address a role of somebody."""
    return [line for line in lines if not line.roles.isdisjoint(subject.roles)]


def _nested(
    lines: Sequence[Line], subject: Subject, environment: Environment, columns: Columns
) -> ColumnElement[bool]:
    whole: ColumnElement[bool] = false()
    runs = [(effect, list(run)) for effect, run in groupby(lines, lambda line: line.rule.effect)]
    for effect, run in reversed(runs):  # in a tier the denies stand first, so here they come last
        asked = joined((line.condition for line in run), Outcome(effect))
        favoured = (condition.favours(subject, environment, columns) for condition in asked)
        whole = (or_ if effect == Outcome.ALLOW else and_)(*favoured, whole)
    return whole


def credited(
    lines: Sequence[Line], subject: Subject, environment: Environment, columns: Columns
) -> ColumnElement[Any]:
    """Return the id of the rule that decides a row, NULL where none does: `visible`, with its reason."""
    applying = [
        (_applies(line, subject, environment, columns), literal(line.rule.id))
        for line in bound(lines, subject)
    ]
    nothing = null().cast(Text)
    return case(*applying, else_=nothing) if applying else nothing


def _applies(
    line: Line, subject: Subject, environment: Environment, columns: Columns
) -> ColumnElement[bool]:
    favoured = line.condition.favours(subject, environment, columns)
    return favoured if line.rule.effect == Outcome.ALLOW else not_(favoured)
