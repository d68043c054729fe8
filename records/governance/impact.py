"""What a change of the rules would do to whom: counted by the very predicates that lists use, so exact."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, Text, func, literal, null, select

from core.database import Database
from policies.enforcer import PolicySnapshot
from policies.shards import Line, Target
from policies.vocabulary import Action, ResourceType, Role
from records.access.gate import CREATING
from records.access.me import Me
from records.access.relations import asking
from records.governance import sight

NOT_COUNTED: Final = CREATING | {Action.SEARCH, Action.EXPLAIN}
"""Actions that are not done to a row that is there."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Rows of one kind and label that one person gains or loses for an action, and the rules that say so."""

    account_id: UUID
    kind: ResourceType
    action: Action
    label: str | None
    gained: bool
    before: str | None
    after: str | None
    rows: int

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Effect":
        """Return an effect that was kept as JSON."""
        typed: Mapping[str, Callable[[Any], Any]] = {
            "account_id": UUID,
            "kind": ResourceType,
            "action": Action,
        }
        return cls(**{name: typed.get(name, _same)(value) for name, value in kept.items()})


def totals(effects: Iterable[Effect]) -> list[dict[str, Any]]:
    """Return the effects summed over people: by kind, action and label."""
    gained: Counter[tuple[Any, ...]] = Counter()
    lost: Counter[tuple[Any, ...]] = Counter()
    who: dict[tuple[Any, ...], set[UUID]] = {}
    for effect in effects:
        key = effect.kind, effect.action, effect.label
        (gained if effect.gained else lost)[key] += effect.rows
        who.setdefault(key, set()).add(effect.account_id)
    names = ("kind", "action", "label")
    return [
        dict(zip(names, key, strict=True))
        | {"gained": gained[key], "lost": lost[key], "people": len(people)}
        for key, people in sorted(who.items(), key=lambda item: str(item[0]))
    ]


def changed(old: PolicySnapshot, new: PolicySnapshot) -> dict[Target, frozenset[Role]]:
    """Return the targets that two versions treat otherwise, each with the roles that may feel it."""
    found = {}
    for kind in sight.PROTECTED:
        for action in Action:
            before, after = ({_said(x) for x in s.lines(kind, action)} for s in (old, new))
            roles: frozenset[Role] = frozenset().union(*(said[0] for said in before ^ after))
            if roles and action not in NOT_COUNTED:
                found[kind, action] = roles
    return found


async def measure(
    database: Database, me: Me, old: PolicySnapshot, new: PolicySnapshot
) -> list[Effect]:
    """Return what one person gains and loses when `new` takes the place of `old`."""
    effects = []
    for (kind, action), roles in changed(old, new).items():
        if roles.isdisjoint(me.subject.roles):
            continue
        rows = await database.select(_difference(me, old, new, kind, action), asking(me))
        effects += [Effect(me.subject.id, kind, action, **row) for row in rows]
    return effects


def touched(old: PolicySnapshot, new: PolicySnapshot, people: Sequence[Me]) -> Iterator[Me]:
    """Yield the people whom a change may concern at all."""
    roles: frozenset[Role] = frozenset().union(*changed(old, new).values())
    return (me for me in people if not roles.isdisjoint(me.subject.roles))


def _difference(
    me: Me, old: PolicySnapshot, new: PolicySnapshot, kind: ResourceType, action: Action
) -> Select[Any]:
    rows = sight.found(kind)
    was, will = (sight.visible(s, me, action, kind, rows) for s in (old, new))
    before, after = (
        s.credited(me.subject, action, kind, me.environment, dict(rows.c)) for s in (old, new)
    )
    label = rows.c.get("sensitivity", null().cast(Text))
    return (
        select(
            label.label("label"),
            will.label("gained"),
            before.label("before"),
            after.label("after"),
            func.count(literal(1)).label("rows"),
        )
        .select_from(rows)
        .where(was != will)
        .group_by("label", "gained", "before", "after")
        .order_by("label", "gained", "before", "after")
    )


def _same(value: Any) -> Any:
    return value


def _said(line: Line) -> tuple[frozenset[Role], int, str, str]:
    """Return what a line comes to: its note and its name change nothing."""
    return line.roles, line.rule.tier, line.rule.effect, line.rule.condition
