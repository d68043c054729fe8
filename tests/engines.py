"""The bench's question put to others: Casbin as it comes, with `eval()`, and Cedar. Prints JSON; run by `confide bench`.

The product knows Casbin in one place and Cedar nowhere, so they are asked in a process of their own. Each has all the
rules and must say yes.
"""

import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time_ns
from typing import Any, Final

import casbin
import orjson

from api.bench.decisions import SIZES, WHAT, WHO, WHY, others
from policies.conditions import compile_condition
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
)
from policies.rules import Rule, defaults
from policies.vocabulary import Action, Outcome, ResourceType

ROUNDS: Final = 5
SLICE: Final = 100_000_000
"""Nanoseconds of CPU of a round at least; one call may be longer."""
MODEL: Final = """
[request_definition]
r = sub, obj, act, env
[policy_definition]
p = priority, sub, res, act, cond, eft
[policy_effect]
e = priority(p.eft) || deny
[matchers]
m = has(r.sub, p.sub) && within(r.obj.type, p.res) && within(r.act, p.act) && eval(p.cond)
"""


def stock(rules: Sequence[Rule]) -> Callable[[], bool]:
    """Return the question to stock Casbin, the rules in deciding order."""
    engine = casbin.Enforcer(casbin.Enforcer.new_model(text=MODEL), enable_log=False)
    members = {rule.subject: rule.roles for rule in rules}
    engine.add_function("has", lambda sub, name: not members[name].isdisjoint(sub.roles))
    engine.add_function("within", lambda name, names: names == "*" or name in names.split())
    for r in sorted(rules, key=lambda rule: rule.priority):
        engine.add_policy(str(r.priority), r.subject, r.resource, r.action, r.condition, r.effect)
    return lambda: engine.enforce(WHO, WHAT, Action.READ, WHY)


def cedar(rules: Sequence[Rule]) -> Callable[[], bool]:
    """Return the question to Cedar, rules and facts parsed beforehand. It has no tiers: any of its denies is hard."""
    import cedarpy

    text = "\n".join(
        _policy(rule, ResourceType(kind)) for rule in rules for kind in sorted(_kinds(rule))
    )
    known = cedarpy.PolicySet.from_str(text)
    entities = cedarpy.Entities.from_json_str(
        orjson.dumps([_entity("sub", WHO), _entity("obj", WHAT)]).decode()
    )
    asked = {
        "principal": {"type": "sub", "id": str(WHO.id)},
        "action": {"type": "Action", "id": "read"},
        "resource": {"type": WHAT.type, "id": str(WHAT.id)},
        "context": {"purpose": WHY.purpose},
    }
    return lambda: cedarpy.is_authorized(asked, known, entities).allowed


def _kinds(rule: Rule) -> set[str]:
    return {kind for kind, _ in rule.targets()}


def _policy(rule: Rule, kind: ResourceType) -> str:
    actions = ", ".join(f'Action::"{a}"' for a in sorted({a for _, a in rule.targets()}))
    roles = orjson.dumps(sorted(rule.roles)).decode()
    favour = _cedar(compile_condition(rule.condition, kind, Outcome(rule.effect)).favour)
    word, unless = ("permit", "when") if rule.effect == Outcome.ALLOW else ("forbid", "unless")
    head = f"{word}(principal, action in [{actions}], resource is {kind})"
    return f"{head} when {{ {roles}.containsAny(principal.roles) }} {unless} {{ {favour} }};"


def _cedar(formula: Formula) -> str:  # noqa: PLR0911 one return a kind of node
    match formula:
        case Always(value):
            return str(value).lower()
        case AllOf(parts):
            return "(" + " && ".join(map(_cedar, parts)) + ")"
        case AnyOf(parts):
            return "(" + " || ".join(map(_cedar, parts)) + ")"
        case Known(attr, expected):
            return f"{'' if expected else '!'}({_of(attr)[0]} has {attr.name})"
        case Flag(attr, expected):
            return f"({_name(attr)} == {str(expected).lower()})"
        case Same(left, right, expected):
            return f"({_name(left)} {'==' if expected else '!='} {_name(right)})"
        case Among(attr, words, expected):
            return (
                f"{'' if expected else '!'}{orjson.dumps(words).decode()}.contains({_name(attr)})"
            )
        case Holds(holder, member, expected):
            return f"{'' if expected else '!'}{_name(holder)}.contains({_name(member)})"
        case Within(part, whole, expected):
            return f"{'' if expected else '!'}{_name(whole)}.containsAll({_name(part)})"


def _of(attr: Attr) -> tuple[str, str]:
    return {"sub": "principal", "obj": "resource", "env": "context"}[attr.root], attr.name


def _name(operand: Attr | Literal) -> str:
    if isinstance(operand, Literal):
        return orjson.dumps(operand.value).decode()
    return ".".join(_of(operand))


def _entity(kind: str, thing: Any) -> dict[str, Any]:
    facts = {name: getattr(thing, name) for name in thing.__dataclass_fields__}
    plain = {
        name: sorted(v) if isinstance(v, frozenset) else v if isinstance(v, bool) else str(v)
        for name, v in facts.items()
        if v is not None
    }
    uid = {"type": getattr(thing, "type", kind), "id": str(thing.id)}
    return {"uid": uid, "attrs": plain, "parents": []}


ENGINES: Final = {"pycasbin with eval()": stock, "cedarpy": cedar}


def cost(ask: Callable[[], bool]) -> float:
    """Return microseconds of CPU of a call, the median over rounds."""
    if not ask():
        raise AssertionError("the question that is timed is answered yes")
    return round(median(_round(ask) for _ in range(ROUNDS)), 1)


def _round(ask: Callable[[], bool]) -> float:
    began, calls = process_time_ns(), 0
    while process_time_ns() - began < SLICE:
        ask()
        calls += 1
    return (process_time_ns() - began) / calls / 1_000


def main() -> None:
    """Print microseconds by the number of rules about other things, for each engine."""
    found = {
        name: {str(n): cost(engine([*defaults(), *others(n)])) for n in SIZES}
        for name, engine in ENGINES.items()
    }
    sys.stdout.write(orjson.dumps(found).decode())


if __name__ == "__main__":
    main()
