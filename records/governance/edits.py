"""What somebody wants changed in a set of rules, and what that comes to."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.errors import FieldError, Invalid
from policies.enforcer import PolicySnapshot
from policies.rules import Rule, check
from policies.safeguard import keep_open


@dataclass(frozen=True, slots=True)
class Edit:
    """What to write: a whole set (`rules`; None is what is there), then rules put into it, and ids taken out."""

    reason: str | None = None
    rules: Sequence[Rule] | None = None
    put: Sequence[Rule] = ()
    remove: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """The ids by which a draft differs from the rules it started from."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def edited(before: Sequence[Rule], edit: Edit) -> list[Rule]:
    """Return the rules after an edit, checked; raises BadRules with pointers into the edit, or Lockout."""
    whole = before if edit.rules is None else edit.rules
    known = {rule.id for rule in whole}
    if missing := [n for n, rule_id in enumerate(edit.remove) if rule_id not in known]:
        errors = [
            FieldError(f"/remove/{n}", "rule-unknown", "no rule has this id") for n in missing
        ]
        raise Invalid("what is not there cannot be removed", code="rule-unknown", errors=errors)
    gone = {*edit.remove, *(rule.id for rule in edit.put)}
    placed = [(f"/rules/{n}", rule) for n, rule in enumerate(whole) if rule.id not in gone]
    placed += [(f"/put/{n}", rule) for n, rule in enumerate(edit.put)]
    rules = [rule for _, rule in placed]
    check(rules, [pointer for pointer, _ in placed])
    keep_open(PolicySnapshot.build(0, rules))
    return rules


def compared(before: Sequence[Rule], after: Sequence[Rule]) -> Changes:
    """Return by which ids two sets of rules differ."""
    old, new = {r.id: r for r in before}, {r.id: r for r in after}
    return Changes(
        sorted(new.keys() - old.keys()),
        sorted(old.keys() - new.keys()),
        sorted(i for i in old.keys() & new.keys() if old[i] != new[i]),
    )
