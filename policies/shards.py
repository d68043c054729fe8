"""The rules about one resource type and one action: compiled, in the order in which they decide."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnClause,
    ColumnElement,
    Text,
    and_,
    case,
    false,
    literal,
    not_,
    null,
    or_,
)

from policies.conditions import Condition, compile_condition
from policies.facts import Environment, Subject
from policies.predicates import Columns
from policies.rules import Rule
from policies.vocabulary import Action, Outcome, ResourceType, Role

OFTEN: Final = 2
DEEP: Final = 2
"""A relation that more rules name than OFTEN is asked first; DEEP of them at most, since each doubles what follows."""
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
    S1 AND (A1 OR S2 AND (A2 OR …)): each rule is written once.
    """
    mine = [line for line in lines if not line.roles.isdisjoint(subject.roles)]
    return _split(mine, subject, environment, columns, _relations(mine, columns))


def _relations(lines: Sequence[Line], columns: Columns) -> list[str]:
    """Return the relations that so many rules name that they had better be asked first, and once."""
    times = Counter(name for line in lines for name in line.condition.names)
    asked = [name for name, n in times.most_common() if n > OFTEN and name in columns]
    return [name for name in asked if _is_relation(columns[name])][:DEEP]


def _is_relation(column: ColumnElement[Any]) -> bool:
    """Tell an EXISTS, or what is made of some, from a column and from a value worked out of columns."""
    return isinstance(column.type, Boolean) and not isinstance(column, ColumnClause)


def _split(
    lines: Sequence[Line],
    subject: Subject,
    environment: Environment,
    columns: Columns,
    names: Sequence[str],
) -> ColumnElement[bool]:
    """Ask for each relation once (it is an EXISTS), and for the rest as it is with it and without it."""
    if not names:
        return _nested(lines, subject, environment, columns)
    first, *others = names
    with_it, without = (
        _split(lines, subject, environment, {**columns, first: known}, others)  # type: ignore[dict-item]
        for known in (True, False)
    )
    return case((columns[first], with_it), else_=without)


def _nested(
    lines: Sequence[Line], subject: Subject, environment: Environment, columns: Columns
) -> ColumnElement[bool]:
    whole: ColumnElement[bool] = false()
    for line in reversed(lines):  # in a tier the denies stand first, so here they come last
        favoured = line.condition.favours(subject, environment, columns)
        allows = line.rule.effect == Outcome.ALLOW
        whole = or_(favoured, whole) if allows else and_(favoured, whole)
    return whole


def credited(
    lines: Sequence[Line], subject: Subject, environment: Environment, columns: Columns
) -> ColumnElement[Any]:
    """Return the id of the rule that decides a row, NULL where none does: `visible`, with its reason."""
    applying = [
        (_applies(line, subject, environment, columns), literal(line.rule.id))
        for line in lines
        if not line.roles.isdisjoint(subject.roles)
    ]
    nothing = null().cast(Text)
    return case(*applying, else_=nothing) if applying else nothing


def _applies(
    line: Line, subject: Subject, environment: Environment, columns: Columns
) -> ColumnElement[bool]:
    favoured = line.condition.favours(subject, environment, columns)
    return favoured if line.rule.effect == Outcome.ALLOW else not_(favoured)
