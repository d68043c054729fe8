"""Two versions of the rules compared for every possible case, by z3: whom one lets in and the other keeps out.

z3 (the extra `analysis`) is imported when it is asked for. Facts are symbols; each attribute may be unknown. What is
found is a case, so it convinces by itself; what is not found does not exist, for callers with one role.
"""

from collections.abc import Iterator, Mapping, Sequence
from csv import DictReader
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import Unavailable
from policies.enforcer import PolicySnapshot
from policies.facts import SCHEMA, Kind
from policies.formula import (
    AllOf,
    Always,
    Among,
    AnyOf,
    Attr,
    Flag,
    Formula,
    Holds,
    Known,
    Literal,
    Same,
    Within,
    definitely,
)
from policies.grammar import parse
from policies.rules import Rule
from policies.vocabulary import Action, Outcome, ResourceType, Role

MOMENTS: Final = 2_000
"""Milliseconds that one question may take."""

Case = Mapping[str, str]
"""A role, and what is known of each attribute that matters."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was asked, and the case that speaks against it (None: there is none)."""

    id: str
    note: str
    holds: bool
    case: Case | None


def differences(old: PolicySnapshot, new: PolicySnapshot) -> Iterator[Verdict]:
    """Yield, for each thing and action treated otherwise, a case newly allowed and one newly denied."""
    for kind in ResourceType:
        for action in Action:
            if _texts(old, kind, action) == _texts(new, kind, action):
                continue
            for name, lax, strict in (("grants", new, old), ("denies", old, new)):
                logic = _Logic()
                case = logic.case(
                    logic.allowed(lax, kind, action), logic.never(strict, kind, action)
                )
                yield Verdict(f"{name} {kind} {action}", "", case is None, case)


def invariants() -> Sequence[Rule]:
    """Return what a clinic expects of any rules: each says when something is never allowed."""
    with Path(__file__).with_name("invariants.csv").open(encoding="utf-8", newline="") as file:
        return [Rule(tier=1, effect=Outcome.DENY, **row) for row in DictReader(file)]


def verdicts(snapshot: PolicySnapshot) -> Iterator[Verdict]:
    """Yield whether each invariant holds, and a case if not."""
    for rule in invariants():
        case = next(filter(None, (_against(snapshot, rule, *t) for t in rule.targets())), None)
        yield Verdict(rule.id, rule.note, case is None, case)


def _against(
    snapshot: PolicySnapshot, rule: Rule, kind: ResourceType, action: Action
) -> Case | None:
    logic = _Logic()
    condition = logic.true(definitely(parse(rule.condition, kind)))
    return logic.case(logic.allowed(snapshot, kind, action), logic.one_of(rule.roles), condition)


def _texts(snapshot: PolicySnapshot, kind: ResourceType, action: Action) -> list[tuple[Any, ...]]:
    lines = snapshot.lines(kind, action)
    return [(x.roles, x.rule.tier, x.rule.effect, x.rule.condition) for x in lines]


class _Logic:
    """Formulas as z3 terms over one set of symbols."""

    def __init__(self) -> None:
        try:
            import z3
        except ImportError:
            raise Unavailable(
                "z3 is not installed: pip install confide[analysis]", code="analysis-unavailable"
            ) from None
        self.z3: Any = z3
        self.words: dict[str, int] = {}
        self.used: dict[Attr, Any] = {}

    def one_of(self, roles: frozenset[Role]) -> Any:
        return self.z3.Or(*(self._role(role) for role in sorted(roles)))

    def allowed(self, snapshot: PolicySnapshot, kind: ResourceType, action: Action) -> Any:
        """Return the term of: some tier allows, and nothing up to it denies."""
        whole = self.z3.BoolVal(val=False)
        for line in reversed(snapshot.lines(kind, action)):
            mine = self.one_of(line.roles)
            favoured = self.true(line.condition.favour)
            if line.rule.effect == Outcome.ALLOW:
                whole = self.z3.Or(self.z3.And(mine, favoured), whole)
            else:
                whole = self.z3.And(self.z3.Or(self.z3.Not(mine), favoured), whole)
        return whole

    def never(self, snapshot: PolicySnapshot, kind: ResourceType, action: Action) -> Any:
        return self.z3.Not(self.allowed(snapshot, kind, action))

    def case(self, *terms: Any) -> Case | None:
        """Return a case in which all terms are true, for a caller with one role."""
        solver = self.z3.Solver()
        solver.set("timeout", MOMENTS)
        roles = [self._role(role) for role in Role]
        solver.add(*terms, *self._sane(), self.z3.PbEq([(role, 1) for role in roles], 1))
        found = solver.check()
        if found == self.z3.unknown:
            raise Unavailable("z3 did not come to an end", code="analysis-unavailable")
        return self._told(solver.model()) if found == self.z3.sat else None

    def true(self, formula: Formula) -> Any:  # noqa: PLR0911 one a kind of node
        """Return a formula, which must come out of `definitely`, as a term."""
        match formula:
            case Always(value):
                return self.z3.BoolVal(value)
            case AllOf(parts):
                return self.z3.And(*map(self.true, parts))
            case AnyOf(parts):
                return self.z3.Or(*map(self.true, parts))
            case Known(attr, expected):
                return self._known(attr) == expected
            case Flag(attr, expected):
                return self._symbol(attr) == expected
            case Same(left, right, expected):
                return (self._side(left) == self._side(right)) == expected
            case Among(attr, words, expected):
                same = [self._symbol(attr) == self._word(word) for word in words]
                return self.z3.Or(*same) == expected
            case Holds(holder, member, expected):
                return self._symbol(holder)(self._side(member)) == expected
            case Within(part, whole, expected):
                return self._within(part, whole) == expected

    def _within(self, part: Attr, whole: Attr) -> Any:
        words = sorted(SCHEMA[part.root, part.name].words or ())
        one, other = self._symbol(part), self._symbol(whole)
        return self.z3.And(*(self.z3.Implies(one(w), other(w)) for w in map(self._word, words)))

    def _side(self, side: Attr | Literal) -> Any:
        return self._word(side.value) if isinstance(side, Literal) else self._symbol(side)

    def _word(self, word: str) -> Any:
        return self.z3.IntVal(self.words.setdefault(word, len(self.words)))

    def _role(self, role: Role) -> Any:
        return self.z3.Bool(f"role {role}")

    def _known(self, attr: Attr) -> Any:
        self._symbol(attr)
        return self.z3.Bool(f"known {attr.root}.{attr.name}")

    def _symbol(self, attr: Attr) -> Any:
        name, z3 = f"{attr.root}.{attr.name}", self.z3
        match attr.kind:
            case Kind.FLAG:
                made = z3.Bool(name)
            case Kind.SET:
                made = z3.Function(name, z3.IntSort(), z3.BoolSort())
            case _:
                made = z3.Int(name)
        return self.used.setdefault(attr, made)

    def _sane(self) -> Iterator[Any]:
        """Yield what is always so: required attributes are known, closed ones have one of their words."""
        for attr in list(self.used):
            about = SCHEMA[attr.root, attr.name]
            if not about.nullable:
                yield self._known(attr)
            if attr.kind is Kind.TEXT and about.words is not None:
                codes = [self._symbol(attr) == self._word(word) for word in sorted(about.words)]
                yield self.z3.Or(*codes)

    def _told(self, model: Any) -> Case:
        told: dict[str, str] = {
            "role": next(r for r in Role if self.z3.is_true(model.eval(self._role(r))))
        }
        for attr in sorted(self.used, key=lambda a: (a.root, a.name)):
            known = self.z3.is_false(model.eval(self._known(attr), model_completion=True))
            told[f"r.{attr.root}.{attr.name}"] = "unknown" if known else self._value(model, attr)
        return told

    def _value(self, model: Any, attr: Attr) -> str:
        if attr.kind is Kind.SET:
            words = sorted(SCHEMA[attr.root, attr.name].words or ())
            has = [
                w
                for w in words
                if self.z3.is_true(
                    model.eval(self._symbol(attr)(self._word(w)), model_completion=True)
                )
            ]
            return ", ".join(has) or "none"
        value = model.eval(self._symbol(attr), model_completion=True)
        if attr.kind is Kind.FLAG:
            return str(value).lower()
        if attr.kind is Kind.ID:
            return f"id {value}"
        said = {code: word for word, code in self.words.items()}
        return said.get(value.as_long(), "another")
