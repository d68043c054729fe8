"""The condition of a rule, compiled for its effect: one text, two targets (Python, SQL) that agree.

An allow needs its condition to be definitely true. A deny is lifted only where its condition is
definitely false: unknown never grants and always denies.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sqlalchemy import ColumnElement

from policies.closures import Closure, to_closure
from policies.facts import Environment, Resource, Subject
from policies.formula import Formula, definitely, mentioned, negate
from policies.grammar import parse
from policies.joining import all_of, any_of
from policies.predicates import Columns, to_predicate
from policies.vocabulary import Outcome, ResourceType

COMPILED: Final = 4096
"""Conditions kept: most rules of a new version, or of a trial, are rules of the one before."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`favour` must be definitely true: for an allow to grant the row, for a deny to spare it."""

    effect: Outcome
    favour: Formula
    closure: Closure
    names: frozenset[str]
    """The attributes of `r.obj` that it looks at."""

    @classmethod
    def of(cls, effect: Outcome, favour: Formula) -> "Condition":
        """Compile a formula that came out of `definitely`."""
        names = frozenset(attr.name for attr in mentioned(favour) if attr.root == "obj")
        return cls(effect, favour, to_closure(favour), names)

    def matches(self, sub: Subject, obj: Resource, env: Environment) -> bool:
        """Tell whether the rule applies to these facts: an allow that grants, a deny that spares not."""
        favoured = self.closure(sub, obj, env) is True
        return favoured if self.effect is Outcome.ALLOW else not favoured

    def favours(self, sub: Subject, env: Environment, columns: Columns) -> ColumnElement[bool]:
        """Return the SQL of: this rule grants (allow), or leaves alone (deny), the row."""
        return to_predicate(self.favour, sub, env, columns)


@lru_cache(maxsize=COMPILED)
def compile_condition(text: str, resource_type: ResourceType, effect: Outcome) -> Condition:
    """Parse `text` for rules about `resource_type` and compile it; raises BadCondition."""
    formula = parse(text, resource_type)
    favour = definitely(formula if effect is Outcome.ALLOW else negate(formula))
    return Condition.of(effect, favour)


def joined(conditions: Iterable[Condition], effect: Outcome) -> list[Condition]:
    """Return conditions, rather fewer, that together favour the same: any of allows, all of denies."""
    given = {condition.favour: condition for condition in conditions}
    fewer = any_of(given) if effect is Outcome.ALLOW else all_of(given)
    return [given.get(favour) or Condition.of(effect, favour) for favour in fewer]
