"""What is legal in a set of rules, and yet is hardly meant: said to the author of a draft, never refused."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from policies.enforcer import PolicySnapshot
from policies.facts import SCHEMA
from policies.formula import Attr, Formula, Known, leaves, mentioned, negate
from policies.golden import surprises
from policies.grammar import parse
from policies.logic import implies, impossible
from policies.rules import Rule
from policies.shards import Line, Shard, Target, shard
from policies.vocabulary import Action, Outcome, ResourceType

FINDINGS: Final = {
    "dead": "its condition is never true, so it never applies",
    "shadowed": "wherever it applies, an earlier rule has decided already",
    "missing-deny": "these may be read, and no rule denies by this attribute",
    "surprise": "an everyday case of the golden table is answered otherwise",
    "unknown-denies": "it also denies where this attribute is not known",
}
WARDED: Final = {ResourceType.RECORD: ("sensitivity", "status")}
"""Attributes that mark what is not for everybody who may read the rest."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth a second look. `about` is an attribute, the rule that was there before, or a golden case."""

    code: str
    rule: str | None
    about: str | None
    message: str


def lint(rules: Sequence[Rule]) -> list[Finding]:
    """Return what is odd about checked rules, worst first."""
    shards = shard(rules)
    odd = [*_dead(shards.values()), *_shadowed(shards.values()), *_missing(shards)]
    return [*_surprises(rules), *dict.fromkeys(odd), *_unknown(rules)]


def _surprises(rules: Sequence[Rule]) -> Iterator[Finding]:
    for case, decision in surprises(PolicySnapshot.build(0, rules)):
        yield _found("surprise", decision.rule_id, f"{case.id}: {decision.outcome}")


def _found(code: str, rule: str | None, about: str | None = None) -> Finding:
    return Finding(code, rule, about, FINDINGS[code])


def applies(line: Line) -> Formula:
    """Return the two-valued formula of: this rule applies."""
    favour = line.condition.favour
    return favour if line.rule.effect == Outcome.ALLOW else negate(favour)


def _dead(shards: Iterable[Shard]) -> Iterator[Finding]:
    """Yield rules that apply nowhere, in none of their targets."""
    lines = [line for lines in shards for line in lines]
    alive = {line.rule.id for line in lines if not impossible(applies(line))}
    yield from (_found("dead", line.rule.id) for line in lines if line.rule.id not in alive)


def _shadowed(shards: Iterable[Shard]) -> Iterator[Finding]:
    """Yield rules that in every target come too late: one rule before them decides all that they would."""
    shades: dict[str, set[str | None]] = {}
    for lines in shards:
        for place, line in enumerate(lines):
            shades.setdefault(line.rule.id, set()).add(_shade(line, lines[:place]))
    for rule_id, shade in shades.items():
        if None not in shade:
            yield _found("shadowed", rule_id, ", ".join(sorted(str(s) for s in shade)))


def _shade(line: Line, earlier: Shard) -> str | None:
    mine = applies(line)
    if impossible(mine):
        return None  # it is dead, which says more
    asked = set(mentioned(mine))
    for other in earlier:
        theirs = applies(other)
        if line.roles <= other.roles and asked >= set(mentioned(theirs)) and implies(mine, theirs):
            return other.rule.id
    return None


def _missing(shards: Mapping[Target, Shard]) -> Iterator[Finding]:
    """Yield attributes that mark secrets, and by which nothing is denied."""
    for kind, names in WARDED.items():
        lines = shards.get((kind, Action.READ), ())
        if not any(line.rule.effect == Outcome.ALLOW for line in lines):
            continue
        denying = [applies(line) for line in lines if line.rule.effect == Outcome.DENY]
        asked = {attr.name for formula in denying for attr in mentioned(formula)}
        yield from (_found("missing-deny", None, f"{kind}.{n}") for n in names if n not in asked)


def _unknown(rules: Sequence[Rule]) -> Iterator[Finding]:
    """Yield denies that read what may be unknown and do not say what then."""
    for rule in rules:
        if rule.effect == Outcome.DENY:
            kind = next(rule.targets())[0]
            condition = parse(rule.condition, kind)
            said = {leaf.attr for leaf in leaves(condition) if isinstance(leaf, Known)}
            read = {attr for attr in mentioned(condition) if _nullable(attr)}
            for attr in sorted(read - said, key=lambda attr: (attr.root, attr.name)):
                yield _found("unknown-denies", rule.id, f"r.{attr.root}.{attr.name}")


def _nullable(attr: Attr) -> bool:
    return SCHEMA[attr.root, attr.name].nullable
