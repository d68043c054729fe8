"""The rules as people write them: read from CSV, checked as a whole, fingerprinted."""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from itertools import product
from pathlib import Path
from typing import Final

from core.errors import FieldError, Invalid
from policies.grammar import BadCondition, parse
from policies.vocabulary import ROLES, Action, Outcome, ResourceType, Role

TIERS: Final = {1: "hard", 2: "emergency", 3: "soft", 4: "ordinary"}
"""The lower tier decides first; inside a tier a deny beats an allow."""
EMERGENCY: Final = 2

EVERYTHING: Final = "*"
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as text; `check` says whether it is a good one.

    `subject`, `resource` and `action` hold one name or several, parted by blanks; `*` is every resource
    or action, and a role group (`staff`) every role in it.
    """

    id: str
    tier: int
    subject: str
    resource: str
    action: str
    effect: str
    condition: str
    note: str = ""

    @property
    def roles(self) -> frozenset[Role]:
        return frozenset().union(*(ROLES[name] for name in self.subject.split()))

    @property
    def priority(self) -> int:
        """Casbin's order: by tier, denies first."""
        return self.tier * 10 + (0 if self.effect == Outcome.DENY else 5)

    def targets(self) -> Iterator[tuple[ResourceType, Action]]:
        """Yield every pair of resource type and action the rule speaks of."""
        return product(
            map(ResourceType, _names(self.resource, ResourceType)),
            map(Action, _names(self.action, Action)),
        )


class BadRules(Invalid):
    """At least one rule is broken, so the whole set is refused; `errors` points at each."""

    code = "bad-rules"


def load_csv(text: str) -> list[Rule]:
    """Parse CSV with the columns of Rule as its header; raises BadRules unless every row is good."""
    names = [field.name for field in fields(Rule)]
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header, *rows = list(reader) or [[]]
    except csv.Error:
        raise BadRules(code="rules-csv") from None
    if header != names or any(len(row) != len(names) for row in rows):
        raise BadRules(code="rules-csv")
    rules = [_rule(dict(zip(names, row, strict=True))) for row in rows]
    check(rules)
    return rules


def defaults() -> list[Rule]:
    """Return the rules a new clinic starts with (`defaults.csv`)."""
    return load_csv(Path(__file__).with_name("defaults.csv").read_text(encoding="utf-8"))


def checksum(rules: Iterable[Rule]) -> str:
    """Return the SHA-256 (hex) of the rules, whatever order they come in."""
    rows = sorted(astuple(rule) for rule in rules)
    text = json.dumps(rows, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def check(rules: Collection[Rule], pointers: Collection[str] = ()) -> None:
    """Raise BadRules with one error a broken field; a set with one broken rule is no set.

    `pointers` says where each rule came from, if it is not `/rules/<index>`.
    """
    places = list(pointers) or [f"/rules/{index}" for index in range(len(rules))]
    placed = list(zip(places, rules, strict=True))
    errors = [error for place, rule in placed for error in _errors(place, rule)]
    times = Counter(rule.id for rule in rules)
    errors += [
        _error(place, "id", "rule-id-twice", "another rule has this id")
        for place, rule in placed
        if times[rule.id] > 1
    ]
    if errors:
        raise BadRules(errors=errors)


def _rule(row: Mapping[str, str]) -> Rule:
    tier = row["tier"] if row["tier"] in map(str, TIERS) else "0"
    return Rule(**{**row, "tier": int(tier)})  # type: ignore[arg-type]


def _names(text: str, every: Iterable[str]) -> list[str]:
    return list(every) if text == EVERYTHING else text.split()


def _errors(place: str, rule: Rule) -> list[FieldError]:
    broken = [
        _error(place, name, code, message)
        for name, code, message, good in (
            ("id", "rule-id", "an id is lower case, digits and dashes", _ID.fullmatch(rule.id)),
            ("tier", "rule-tier", "a tier is 1, 2, 3 or 4", rule.tier in TIERS),
            ("subject", "rule-subject", "no such role or group", _known(rule.subject, ROLES)),
            ("resource", "rule-resource", "no such resource", _wild(rule.resource, ResourceType)),
            ("action", "rule-action", "no such action", _wild(rule.action, Action)),
            ("effect", "rule-effect", "an effect is allow or deny", rule.effect in set(Outcome)),
        )
        if not good
    ]
    return broken or _condition_errors(place, rule)


def _known(text: str, every: Iterable[str]) -> bool:
    names = text.split()
    return bool(names) and set(names) <= set(every)


def _wild(text: str, every: Iterable[str]) -> bool:
    return text == EVERYTHING or _known(text, every)


def _condition_errors(place: str, rule: Rule) -> list[FieldError]:
    """Parse the condition for every resource of the rule; the first refusal is enough."""
    for resource_type in dict.fromkeys(resource for resource, _ in rule.targets()):
        try:
            parse(rule.condition, resource_type)
        except BadCondition as refusal:
            message = f"{refusal.detail} (position {refusal.position})"
            return [_error(place, "condition", refusal.code, message)]
    return []


def _error(place: str, field: str, code: str, message: str) -> FieldError:
    return FieldError(f"{place}/{field}", code, message)
