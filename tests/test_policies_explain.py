"""An explanation comes to the engine's answer, and each part of it is so."""

import pytest
from hypothesis import given, settings

from policies.enforcer import Decision, PolicySnapshot
from policies.explain import Disagreement, Truth, explain
from policies.facts import Environment
from policies.formula import negate
from policies.grammar import parse
from policies.rules import Rule
from policies.vocabulary import Action, Purpose, ResourceType, Role
from policies.wording import as_text
from tests.random_policies import ROWS, any_subject, conditions, environments, policies
from tests.test_policies_defaults import SNAPSHOT, resource, subject

TREATING = Environment(Purpose.TREATMENT)


@given(rules=policies(), who=any_subject, environment=environments)
@settings(max_examples=100, deadline=None)
def test_the_trace_and_the_engine_agree(rules, who, environment):
    snapshot = PolicySnapshot.build(1, rules)
    for row in ROWS[:25]:
        found = explain(snapshot, who, Action.READ, row, environment)
        assert found.decision == snapshot.decide(who, Action.READ, row, environment)
        assert (found.nearest is None) is found.decision.allowed or found.nearest.rule


@given(text=conditions)
@settings(max_examples=150, deadline=None)
def test_a_formula_written_out_parses_to_itself(text):
    formula = parse(text, ResourceType.RECORD)
    for one in (formula, negate(formula)):
        again = as_text(one)
        assert as_text(parse(again, ResourceType.RECORD)) == again


def test_a_trace_that_says_otherwise_is_not_shown(monkeypatch: pytest.MonkeyPatch):
    lie = Decision(allowed=True, rule_id="record-read-doctor", version=1)
    monkeypatch.setattr(PolicySnapshot, "decide", lambda *_: lie)
    with pytest.raises(Disagreement):
        explain(SNAPSHOT, subject("doctor"), Action.READ, resource("record"), TREATING)


def test_a_denial_names_the_allow_that_was_nearest():
    rules = [
        Rule("far", 4, "doctor", "record", "read", "allow",
             "r.obj.in_care_team and r.obj.own_appointment and r.obj.author_id == r.sub.id"),
        Rule("near", 4, "doctor", "record", "read", "allow",
             "r.obj.in_care_team and r.obj.status == 'final'"),
        Rule("other", 4, "nurse", "record", "read", "allow", "True"),
    ]  # fmt: skip
    snapshot = PolicySnapshot.build(1, rules)
    found = explain(snapshot, subject("doctor"), Action.READ, resource("record"), TREATING)
    assert found.nearest.rule.id == "near"
    assert [(p.text, p.truth) for p in found.nearest.missing] == [("r.obj.in_care_team", "false")]


def test_what_is_not_known_is_said_to_be_so():
    found = explain(
        SNAPSHOT, subject("doctor"), Action.READ, resource("record", "unknown"), TREATING
    )
    assert found.decision.rule_id == "hard-draft"
    (deny,) = [c for c in found.candidates if c.rule.id == "hard-draft"]
    assert (deny.condition, deny.applies) == (Truth.UNKNOWN, True)
    other = explain(SNAPSHOT, subject(Role.NURSE), Action.READ, resource("record"), TREATING)
    assert {c.rule.id for c in other.candidates if c.role_matched} >= {"record-read-nurse"}
