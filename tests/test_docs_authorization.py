"""The guide for administrators is right: every worked example is a good rule, and does what its table says."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from policies.enforcer import PolicySnapshot
from policies.facts import Environment, Resource, Subject
from policies.rules import Rule, defaults
from policies.safeguard import keep_open
from policies.vocabulary import Action, Purpose, ResourceType, Role
from tests.test_policies_defaults import FOREIGN

PAGE = Path(__file__).parents[1] / "docs/authorization.md"
ACCOUNT, PATIENT = UUID(int=1), UUID(int=3)


@dataclass(frozen=True)
class Example:
    title: str
    rule: Rule
    table: tuple[tuple[str, ...], ...]


def examples() -> list[Example]:
    parts = re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = []
    for text in parts:
        part = text.split("\n## ")[0]
        rule = Rule(**json.loads(re.search(r"```json\n(.*?)```", part, re.DOTALL)[1]))
        rows = [
            tuple(cell.strip() for cell in line.strip("|").split("|"))
            for line in part.splitlines()
            if line.startswith("| ") and not line.startswith("| who")
        ]
        found.append(Example(part.splitlines()[0], rule, tuple(rows)))
    return found


EXAMPLES = examples()


def test_there_are_ten():
    assert len(EXAMPLES) == 10
    assert all(example.table for example in EXAMPLES)


def decide(snapshot: PolicySnapshot, rule: Rule, who: str, does: str, said: str) -> str:
    action, _, kind = does.partition(" ")
    subject = {"id": ACCOUNT, "roles": frozenset({Role(who)}), "patient_id": PATIENT}
    facts, purpose = dict(FOREIGN) | {"status": "final"}, Purpose.TREATMENT
    for fact in said.split():
        name, _, value = fact.partition("=")
        match name:
            case "author":
                facts["author_id"] = ACCOUNT
            case "own":
                facts["patient_id"] = PATIENT
            case "no-patient":
                subject["patient_id"] = None
            case "cleared":
                subject["clearances"] = frozenset({"N", "R", "V", value})
            case "purpose":
                purpose = Purpose(value)
            case "categories":
                facts["categories"] = frozenset({value})
            case _:
                facts[name] = value or True
    thing = Resource(ResourceType(kind or rule.resource.split()[0]), **facts)
    found = snapshot.decide(Subject(**subject), Action(action), thing, Environment(purpose))
    return str(found.outcome)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.title)
def test_an_example_does_what_its_table_says(example: Example):
    kept = [rule for rule in defaults() if rule.id != example.rule.id]
    snapshot = PolicySnapshot.build(2, [*kept, example.rule])
    keep_open(snapshot)
    for who, does, said, answer in example.table:
        assert decide(snapshot, example.rule, who, does, said) == answer, (who, does, said)
    before = PolicySnapshot.build(1, defaults())
    assert any(
        decide(before, example.rule, who, does, said) != answer
        for who, does, said, answer in example.table
    ), "the rule changes none of its own cases"
