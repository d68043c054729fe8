"""The golden table: everyday cases with the answers a clinic expects. A draft that answers otherwise is told so."""

from collections.abc import Iterator, Sequence
from csv import DictReader
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from policies.enforcer import Decision, PolicySnapshot
from policies.facts import SCHEMA, Environment, Kind, Resource, Subject
from policies.vocabulary import Action, Outcome, Purpose, ResourceType, Role

_ME, _DOCTOR, _PATIENT, _OTHER = (UUID(int=n) for n in range(1, 5))
_ELSEWHERE: Final[dict[str, Any]] = {
    "id": UUID(int=9),
    "patient_id": _OTHER,
    "author_id": _OTHER,
    "doctor_id": _OTHER,
    "status": "booked",
    "kind": "note",
    "sensitivity": "N",
    "categories": frozenset(),
    "department": "general",
    **{name: False for (root, name), a in SCHEMA.items() if root == "obj" and a.kind is Kind.FLAG},
}
_WORDS: Final = {"author": {"author_id": _ME}, "own": {"patient_id": _PATIENT}}


@dataclass(frozen=True, slots=True)
class Case:
    """Somebody of one role, an action, a thing and what is so about it: words, or `name=value`."""

    id: str
    role: Role
    action: Action
    resource: ResourceType
    facts: str
    expected: Outcome

    def decide(self, snapshot: PolicySnapshot) -> Decision:
        who = Subject(_ME, frozenset({self.role}), _DOCTOR, _PATIENT)
        subject = replace(who, department="general", on_shift=True)
        return snapshot.decide(subject, self.action, self._thing(), Environment(Purpose.TREATMENT))

    def _thing(self) -> Resource:
        facts = dict(_ELSEWHERE)
        for word in self.facts.split():
            name, _, value = word.partition("=")
            facts |= _WORDS.get(name, {name: value or True})
        return Resource(self.resource, **facts)


@cache
def cases() -> Sequence[Case]:
    """Return the table."""
    with Path(__file__).with_name("golden.csv").open(encoding="utf-8", newline="") as file:
        return [
            Case(
                row["id"],
                Role(row["role"]),
                Action(row["action"]),
                ResourceType(row["resource"]),
                row["facts"],
                Outcome(row["expected"]),
            )
            for row in DictReader(file)
        ]


def surprises(snapshot: PolicySnapshot) -> Iterator[tuple[Case, Decision]]:
    """Yield the cases that are answered otherwise, with the decision."""
    for case in cases():
        decision = case.decide(snapshot)
        if decision.outcome is not case.expected:
            yield case, decision
