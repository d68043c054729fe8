"""docs/roles.md: who may do what, with the conditions in words, from the rules a new clinic starts with."""

from collections.abc import Iterable
from typing import Final

from api.docgen.markdown import page as whole
from api.docgen.markdown import table
from api.docgen.words import in_words
from policies.grammar import parse
from policies.rules import Rule, defaults
from policies.vocabulary import Action, Outcome, ResourceType, Role

_INTRODUCTION: Final = """
The rules a new clinic starts with (`policies/defaults.csv`), read out. What no rule allows is denied. A rule in tier 1
or 3 that denies beats every rule of its own and later tiers that allows. Unknown facts never grant and always deny.

**Treats** means: named in the patient's care team now. **Has an appointment** means: a real appointment with the
patient within 90 days before or after now (`CONFIDE_TREATMENT_DAYS`). `search` is to list; a list shows only what may also be read.
"""


def page() -> str:
    """Return the page."""
    rules = defaults()
    parts = [part for kind in ResourceType for part in _resource(kind, rules)]
    return whole("Roles", _INTRODUCTION, *parts)


def _resource(kind: ResourceType, rules: Iterable[Rule]) -> list[str]:
    mine = [rule for rule in rules if kind in {resource for resource, _ in rule.targets()}]
    actions = [a for a in Action if any((kind, a) in set(rule.targets()) for rule in mine)]
    if not actions:
        return [f"## {kind}", "No rule speaks of it: nobody may do anything to it."]
    rows = [[f"**{a}**", *(_cell(mine, kind, a, role) for role in Role)] for a in actions]
    said = [
        (f"`{rule.id}`", rule.tier, rule.effect, in_words(parse(rule.condition, kind)), rule.note)
        for rule in mine
    ]
    matrix = table(["", *Role], rows)
    return [f"## {kind}", matrix, table(("rule", "tier", "effect", "when", "why"), said)]


def _cell(rules: Iterable[Rule], kind: ResourceType, action: Action, role: Role) -> str:
    """Return what a role may: the rules that allow it, and those that may forbid it all the same."""
    about = [r for r in rules if (kind, action) in set(r.targets()) and role in r.roles]
    allow = [f"`{r.id}`" for r in about if r.effect == Outcome.ALLOW]
    deny = [f"`{r.id}`" for r in about if r.effect == Outcome.DENY]
    if not allow:
        return "no"
    return " or ".join(allow) + (f", not if {' or '.join(deny)}" if deny else "")
