"""What one decision costs in CPU, and that it does not grow with rules about other things."""

from statistics import median
from time import process_time_ns
from typing import Any, Final
from uuid import UUID

from policies.enforcer import PolicySnapshot
from policies.facts import Environment, Resource, Subject
from policies.rules import Rule, defaults
from policies.vocabulary import ROLES, Action, Purpose, ResourceType

SIZES: Final = (0, 100, 1_000, 5_000)
_ROUNDS: Final = 15
_CALLS: Final = 300
_WHO: Final = Subject(
    UUID(int=1), ROLES["doctor"], UUID(int=2), clearances=frozenset({"N", "R", "V"})
)
_WHAT: Final = Resource(
    ResourceType.RECORD,
    UUID(int=3),
    patient_id=UUID(int=4),
    author_id=UUID(int=5),
    doctor_id=UUID(int=6),
    status="final",
    kind="note",
    sensitivity="N",  # type: ignore[arg-type]
    categories=frozenset(),
    in_care_team=True,
    own_appointment=False,
    consent_granted=False,
    consent_denied=False,
    break_glass=False,
    proxied=False,
)
_WHY: Final = Environment(Purpose.TREATMENT)


def decisions() -> dict[str, Any]:
    """Return microseconds of CPU for a decision on a record, by the rules of a new clinic and more about other things."""
    found = {str(n): _cost(PolicySnapshot.build(1, [*defaults(), *_others(n)])) for n in SIZES}
    return {"microseconds_by_unrelated_rules": found, "rules_about_records": _about()}


def _others(count: int) -> list[Rule]:
    kinds = [kind for kind in ResourceType if kind is not ResourceType.RECORD]
    return [
        Rule(
            f"other-{n}", 4, "doctor", kinds[n % len(kinds)], "read search", "allow",
            "r.obj.id is not None and r.obj.id != r.sub.id",
        )
        for n in range(count)
    ]  # fmt: skip


def _cost(snapshot: PolicySnapshot) -> float:
    """Return the median over rounds of what a call costs."""
    return round(median(_round(snapshot) for _ in range(_ROUNDS)), 1)


def _round(snapshot: PolicySnapshot) -> float:
    began = process_time_ns()
    for _ in range(_CALLS):
        assert snapshot.decide(_WHO, Action.READ, _WHAT, _WHY).allowed
    return (process_time_ns() - began) / _CALLS / 1_000


def _about() -> int:
    return sum((ResourceType.RECORD, Action.READ) in set(rule.targets()) for rule in defaults())
