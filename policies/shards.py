"""The rules about one resource type and one action: compiled, in the order in which they decide."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, false, or_

from policies.conditions import Condition, compile_condition
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


def shard(rules: Iterable[Rule]) -> Mapping[Target, Shard]:
    """Compile checked rules and deal them out by target, each shard in deciding order.

    A tie (same tier and effect) goes by id: it cannot change a decision, only the rule it is credited to.
    """
    dealt: dict[Target, list[Line]] = defaultdict(list)
    for rule in sorted(rules, key=lambda rule: (rule.priority, rule.id)):
        for target in rule.targets():
            condition = compile_condition(rule.condition, target[0], Outcome(rule.effect))
            dealt[target].append(Line(rule, rule.roles, condition))
    return {target: tuple(lines) for target, lines in dealt.items()}


def visible(
    lines: Sequence[Line], subject: Subject, environment: Environment, columns: Columns
) -> ColumnElement[bool]:
    """Return the rows on which `lines` decide "allow": for some tier an allow matches, and no deny up to it.

    With S the rows every deny of a tier spares and A those an allow of it grants, that is
    S1 AND (A1 OR S2 AND (A2 OR …)): each rule is written once.
    """
    whole: ColumnElement[bool] = false()
    mine = [line for line in lines if not line.roles.isdisjoint(subject.roles)]
    for line in reversed(mine):  # in a tier the denies stand first, so here they come last
        favoured = line.condition.favours(subject, environment, columns)
        allows = line.rule.effect == Outcome.ALLOW
        whole = or_(favoured, whole) if allows else and_(favoured, whole)
    return whole
