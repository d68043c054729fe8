"""Unknown never grants and always denies."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.conditions import compile_condition
from policies.enforcer import PolicySnapshot
from policies.facts import Environment, Resource, Subject
from policies.rules import Rule
from policies.vocabulary import Action, Outcome, Purpose, ResourceType, Role
from tests.random_policies import ROWS, WORDS, any_subject, completed, environments, monotone

ME = Subject(UUID(int=1), frozenset({Role.DOCTOR}))
TREATING = Environment(Purpose.TREATMENT)
NOTHING_KNOWN = Resource(ResourceType.RECORD)

CONDITIONS = [
    "r.obj.in_care_team",
    "not r.obj.in_care_team",
    "r.obj.status == 'final'",
    "r.obj.status != 'final'",
    "r.obj.status in ['final']",
    "r.obj.status not in ['final']",
    "r.obj.author_id == r.sub.id",
    "r.obj.author_id != r.sub.id",
    "r.obj.author_id == r.sub.doctor_id",
    "r.obj.author_id == r.obj.patient_id",
    "r.obj.author_id != r.obj.patient_id",
    "r.sub.doctor_id == r.sub.patient_id",
    "r.obj.in_care_team or not r.obj.in_care_team",
]


def decide(*rules: Rule) -> bool:
    snapshot = PolicySnapshot.build(1, rules)
    return snapshot.decide(ME, Action.READ, NOTHING_KNOWN, TREATING).allowed


@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_unknown_fact_never_grants(condition: str):
    assert not decide(Rule("it", 4, "doctor", "record", "read", "allow", condition))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_unknown_fact_always_denies(condition: str):
    base = Rule("base", 4, "doctor", "record", "read", "allow", "True")
    assert decide(base)
    assert not decide(base, Rule("it", 4, "doctor", "record", "read", "deny", condition))


def test_that_a_fact_is_unknown_is_itself_known():
    assert decide(Rule("it", 4, "doctor", "record", "read", "allow", "r.obj.author_id is None"))
    base = Rule("base", 4, "doctor", "record", "read", "allow", "True")
    spared = Rule("it", 4, "doctor", "record", "read", "deny", "r.obj.author_id is not None")
    assert decide(base, spared)


@given(text=monotone, subject=any_subject, environment=environments)
@settings(max_examples=200, deadline=None)
def test_what_holds_of_a_half_known_row_holds_whatever_the_rest_turns_out_to_be(
    text: str, subject: Subject, environment: Environment
):
    grants = compile_condition(text, ResourceType.RECORD, Outcome.ALLOW).matches
    bars = compile_condition(text, ResourceType.RECORD, Outcome.DENY).matches
    for row in ROWS[:40]:
        whole = completed(row)
        assert not grants(subject, row, environment) or grants(subject, whole, environment)
        assert bars(subject, row, environment) or not bars(subject, whole, environment)
        assert bars(subject, row, environment) or not grants(subject, row, environment)


@given(
    text=monotone,
    subject=st.builds(
        replace,
        st.just(replace(ME, doctor_id=ME.id, patient_id=ME.id)),
        department=st.sampled_from(WORDS),
        on_shift=st.booleans(),
    ),
)
@settings(max_examples=100, deadline=None)
def test_of_known_facts_a_deny_says_what_an_allow_says(text: str, subject: Subject):
    grants = compile_condition(text, ResourceType.RECORD, Outcome.ALLOW).matches
    bars = compile_condition(text, ResourceType.RECORD, Outcome.DENY).matches
    for row in map(completed, ROWS[:40]):
        assert grants(subject, row, TREATING) is bars(subject, row, TREATING)
