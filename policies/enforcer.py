"""Who may? Casbin decides a point, the same rules as SQL decide a list; a snapshot never changes.

Every (resource type, action) has a Casbin enforcer of its own, so a decision costs what the rules
about that pair cost. No rule text is evaluated: `holds` looks up the compiled condition.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from types import CodeType
from typing import Any, Final

import casbin
from sqlalchemy import ColumnElement

from policies.facts import Environment, Resource, Subject
from policies.predicates import Columns
from policies.rules import EMERGENCY, Rule, check, checksum
from policies.shards import Line, Shard, Target, bound, credited, shard, visible
from policies.vocabulary import Action, Outcome, ResourceType

log = logging.getLogger(__name__)

MODEL: Final = Path(__file__).with_name("model.conf").read_text(encoding="utf-8")

# Casbin writes refused requests to its logger, and any dictConfig can switch that one on again.
_MUTE: Final = logging.Logger("mute", level=logging.CRITICAL + 1)  # noqa: LOG001

REMEMBERED: Final = 1024
"""Decisions kept for each kind of resource and action: Casbin takes 20 µs for one, to find it again takes 2."""

Row = tuple[str, ...]
Decide = Callable[[Subject, Action, Resource, Environment], tuple[bool, str | None]]


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, the rule that gave it (None: no rule applied, so no), the version of the rules.

    `emergency`: a rule of the tier for emergencies said yes.
    """

    allowed: bool
    rule_id: str | None
    version: int
    emergency: bool = field(default=False, compare=False)

    @property
    def outcome(self) -> Outcome:
        return Outcome.ALLOW if self.allowed else Outcome.DENY


@dataclass(frozen=True, eq=False, slots=True)
class PolicySnapshot:
    """One version of the rules, compiled. Replaced as a whole, so a reader needs no lock."""

    version: int
    checksum: str
    shards: Mapping[Target, Shard]
    judges: Mapping[Target, Decide]
    _emergencies: frozenset[str]

    @classmethod
    def build(
        cls, version: int, rules: Iterable[Rule], since: "PolicySnapshot | None" = None
    ) -> "PolicySnapshot":
        """Compile the rules; raises BadRules, for the whole set, if one of them is broken.

        What they say of a pair as it was said in the snapshot `since` is taken from there.
        """
        rules = tuple(rules)
        check(rules)
        old = since.shards if since else {}
        shards = shard(rules, old)
        judges = {
            target: since.judges[target]
            if since and lines is old.get(target)
            else _remembering(target, lines)
            for target, lines in shards.items()
        }
        emergencies = frozenset(rule.id for rule in rules if rule.tier == EMERGENCY)
        return cls(version, checksum(rules), shards, judges, emergencies)

    def decide(
        self, subject: Subject, action: Action, resource: Resource, environment: Environment
    ) -> Decision:
        """Decide on facts already loaded; what no rule speaks of is denied."""
        decide = self.judges.get((resource.type, action))
        if decide is None:
            return Decision(allowed=False, rule_id=None, version=self.version)
        allowed, rule_id = decide(subject, action, resource, environment)
        return Decision(allowed, rule_id, self.version, allowed and rule_id in self._emergencies)

    def lines(self, resource_type: ResourceType, action: Action) -> Shard:
        """Return the rules about a pair, in the order in which they decide."""
        return self.shards.get((resource_type, action), ())

    def predicate(
        self,
        subject: Subject,
        action: Action,
        resource_type: ResourceType,
        environment: Environment,
        columns: Columns,
    ) -> ColumnElement[bool]:
        """Return the rows on which `decide` would allow; raises LookupError for a missing column.

        Lists use the predicate of `read`: they show what may be read, and no more.
        """
        return visible(self.lines(resource_type, action), subject, environment, columns)

    def asked(
        self, subject: Subject, action: Action, resource_type: ResourceType
    ) -> frozenset[str]:
        """Return what the rules that bind somebody look at of a resource: nothing else can change `predicate`."""
        lines = self.lines(resource_type, action)
        return frozenset().union(*(line.condition.names for line in bound(lines, subject)))

    def credited(
        self,
        subject: Subject,
        action: Action,
        resource_type: ResourceType,
        environment: Environment,
        columns: Columns,
    ) -> ColumnElement[Any]:
        """Return, as SQL, the id of the rule that `decide` would name for a row."""
        return credited(self.lines(resource_type, action), subject, environment, columns)


class Judge:
    """Casbin over the lines of one shard."""

    def __init__(
        self, target: Target, lines: Sequence[Line], engine: type[casbin.Enforcer] | None = None
    ) -> None:
        self._ids: dict[Row, str] = {}
        for line in lines:
            self._ids.setdefault(_row(target, line), line.rule.id)
        model = casbin.Enforcer.new_model(text=MODEL)
        model["p"]["p"].policy.extend(list(row) for row in self._ids)
        model.sort_policies_by_priority()
        self._casbin = (engine or _Compiled)(model, enable_log=False)
        self._casbin.logger = _MUTE
        self._casbin.add_function("in_role", _in_role(lines))
        self._casbin.add_function("holds", _holds(lines))

    def decide(
        self, subject: Subject, action: Action, resource: Resource, environment: Environment
    ) -> tuple[bool, str | None]:
        """Return the verdict and the id of the rule behind it."""
        verdict, row = self._casbin.enforce_ex(subject, resource, action, environment)
        if not row:  # nothing matched, or the enforcer was switched off: a yes to Casbin
            return False, None
        return verdict is True, self._ids[tuple(row)]


def _remembering(target: Target, lines: Sequence[Line]) -> Decide:
    """Return what decides for a pair: a verdict follows from facts, and from rules that never change, so it is kept.

    Resources are equal whatever their ids. Where a rule asks for an id, nothing is kept.
    """
    decide = Judge(target, lines).decide
    asks = any("id" in line.condition.names for line in lines)
    return decide if asks else lru_cache(maxsize=REMEMBERED)(decide)


def _row(target: Target, line: Line) -> Row:
    """Return the line as `p` in model.conf has it."""
    rule = line.rule
    return str(rule.priority), rule.subject, *target, rule.condition, rule.effect


def _in_role(lines: Sequence[Line]) -> Callable[[Subject, str], bool]:
    members = {line.rule.subject: line.roles for line in lines}
    return lambda subject, name: not members[name].isdisjoint(subject.roles)


def _holds(lines: Sequence[Line]) -> Callable[[str, str, Subject, Resource, Environment], bool]:
    """Return the matcher's `holds`: a condition that breaks on the facts never grants, always denies."""
    tests = {(line.rule.condition, line.rule.effect): line.condition.matches for line in lines}

    def holds(text: str, effect: str, sub: Subject, obj: Resource, env: Environment) -> bool:
        try:
            return tests[text, effect](sub, obj, env)
        except Exception as error:  # noqa: BLE001 whatever it is, the answer is the closed one
            # No traceback: what the facts hold is nobody's business.
            log.error("condition-broke %s %s", obj.type, type(error).__name__)
            return effect != Outcome.ALLOW

    return holds


class _Compiled(casbin.Enforcer):  # type: ignore[misc]
    """Casbin, its matcher run as bytecode. A test holds it to the answers of the public class."""

    @staticmethod
    def _get_expression(expr: str, functions: Mapping[str, Any]) -> "_Matcher":
        return _Matcher(_compile(expr), functions)


class _Matcher:
    __slots__ = ("_code", "_functions")

    def __init__(self, code: CodeType, functions: Mapping[str, Any]) -> None:
        self._code = code
        self._functions = {**functions, "__builtins__": {}}

    def eval(self, names: Mapping[str, object]) -> object:
        return eval(self._code, self._functions, names)  # noqa: S307 the text is model.conf's  # nosec B307


@cache
def _compile(matcher: str) -> CodeType:
    return compile(matcher.replace("&&", " and ").strip(), "<model.conf>", "eval")
