"""What one decision costs in CPU, and that it does not grow with rules about other things."""

import os
import subprocess
import sys
from collections.abc import Callable
from inspect import unwrap
from pathlib import Path
from statistics import median
from time import process_time_ns
from typing import Any, Final
from uuid import UUID

import orjson

from core.embedded.processes import ProcessError
from policies.enforcer import PolicySnapshot
from policies.facts import Environment, Resource, Subject
from policies.rules import Rule, defaults
from policies.vocabulary import ROLES, Action, Purpose, ResourceType

SIZES: Final = (0, 100, 1_000, 5_000)
ENGINES: Final = Path(__file__).parents[2] / "tests" / "engines.py"
_ROUNDS: Final = 15
_CALLS: Final = 300
WHO: Final = Subject(
    UUID(int=1), ROLES["doctor"], UUID(int=2), clearances=frozenset({"N", "R", "V"})
)
WHAT: Final = Resource(
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
WHY: Final = Environment(Purpose.TREATMENT)


def decisions() -> dict[str, Any]:
    """Return microseconds of CPU for a decision on a record, by the rules of a new clinic and more about other things."""
    snapshots = {n: PolicySnapshot.build(1, [*defaults(), *others(n)]) for n in SIZES}
    return {
        "microseconds_by_unrelated_rules": {str(n): _cost(_anew(s)) for n, s in snapshots.items()},
        "microseconds_remembered": _cost(snapshots[0].decide),
        "others": _elsewhere(),
        "rules_about_records": _about(),
    }


def others(count: int) -> list[Rule]:
    """Return rules that have nothing to do with the question."""
    kinds = [kind for kind in ResourceType if kind is not ResourceType.RECORD]
    return [
        Rule(
            f"other-{n}", 4, "doctor", kinds[n % len(kinds)], "read search", "allow",
            "r.obj.id is not None and r.obj.id != r.sub.id",
        )
        for n in range(count)
    ]  # fmt: skip


def _anew(snapshot: PolicySnapshot) -> Callable[..., Any]:
    """Return what decides without remembering: Casbin itself."""
    judge: Callable[..., Any] = unwrap(snapshot.judges[ResourceType.RECORD, Action.READ])
    return judge


def _elsewhere() -> dict[str, Any]:
    """Return what other engines take, by name; nothing outside a checkout, where they are not."""
    if not ENGINES.exists():
        return {}
    asked = [sys.executable, str(ENGINES)]
    environment = {**os.environ, "PYTHONPATH": str(ENGINES.parents[1])}
    done = subprocess.run(asked, env=environment, capture_output=True, check=False, timeout=300)
    if done.returncode:
        raise ProcessError(f"{ENGINES.name}: {done.stderr.decode()[-500:]}")
    found: dict[str, Any] = orjson.loads(done.stdout)
    return found


def _cost(decide: Callable[..., Any]) -> float:
    """Return the median over rounds of what a call costs."""
    assert decide(WHO, Action.READ, WHAT, WHY)
    return round(median(_round(decide) for _ in range(_ROUNDS)), 1)


def _round(decide: Callable[..., Any]) -> float:
    began = process_time_ns()
    for _ in range(_CALLS):
        decide(WHO, Action.READ, WHAT, WHY)
    return (process_time_ns() - began) / _CALLS / 1_000


def _about() -> int:
    return sum((ResourceType.RECORD, Action.READ) in set(rule.targets()) for rule in defaults())
