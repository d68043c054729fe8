"""The lint finds what is dead, what comes too late, and what is missing; what it finds is so."""

import pytest
from hypothesis import given, settings

from policies.enforcer import PolicySnapshot
from policies.golden import cases, surprises
from policies.lint import applies, lint
from policies.logic import implies, impossible
from policies.rules import Rule, defaults
from policies.shards import shard
from policies.vocabulary import Action, ResourceType
from tests.random_policies import ROWS, any_subject, environments, policies


def rule(rule_id: str, tier: int, effect: str, condition: str, subject: str = "doctor") -> Rule:
    return Rule(rule_id, tier, subject, "record", "read", effect, condition)


def found(*rules: Rule) -> set[tuple[str, str | None]]:
    return {(f.code, f.rule) for f in lint(rules) if f.code in ("dead", "shadowed")}


def test_the_shipped_rules_have_no_dead_and_no_shadowed_one_and_miss_no_deny():
    assert {f.code for f in lint(defaults())} <= {"unknown-denies"}


@pytest.mark.parametrize(
    "condition",
    [
        "False",
        "r.obj.in_care_team and not r.obj.in_care_team",
        "r.obj.status == 'a' and r.obj.status == 'b'",
        "r.obj.status in ['a', 'b'] and r.obj.status not in ['a', 'b', 'c']",
        "r.obj.author_id is None and r.obj.author_id == r.sub.id",
    ],
)
def test_a_condition_that_contradicts_itself_is_dead(condition: str):
    assert found(rule("it", 4, "allow", condition)) == {("dead", "it")}


def test_a_deny_that_is_lifted_only_by_the_known_is_not_dead():
    assert found(rule("it", 3, "deny", "r.obj.in_care_team and not r.obj.in_care_team")) == set()


def test_what_an_earlier_rule_decides_is_shadowed():
    first = rule("first", 3, "deny", "r.obj.kind == 'note'")
    assert found(first, rule("it", 4, "allow", "r.obj.kind == 'note' and r.obj.in_care_team")) == {
        ("shadowed", "it")
    }
    assert found(first, rule("it", 4, "allow", "r.obj.in_care_team")) == set()
    assert found(first, rule("it", 4, "allow", "r.obj.kind == 'note'", "staff")) == set()


def test_a_rule_about_two_actions_is_shadowed_only_in_both():
    first = rule("first", 4, "allow", "True")
    both = Rule("it", 4, "doctor", "record", "read update", "allow", "True")
    assert found(first, both) == set()


def test_the_shipped_rules_answer_the_golden_table():
    assert cases()
    assert list(surprises(PolicySnapshot.build(1, defaults()))) == []


def test_a_draft_that_answers_an_everyday_case_otherwise_is_told_so():
    closed = [r for r in defaults() if r.id != "record-read-nurse"]
    opened = [*defaults(), rule("x", 4, "allow", "True", "receptionist")]
    said = [{f.about for f in lint(rules) if f.code == "surprise"} for rules in (closed, opened)]
    assert said == [{"nurse-reads-team: deny"}, {"desk-reads-no-record: allow"}]


@given(rules=policies(), subject=any_subject, environment=environments)
@settings(max_examples=150, deadline=None)
def test_what_the_lint_says_of_a_rule_is_so(rules, subject, environment):
    lines = shard(rules)[ResourceType.RECORD, Action.READ]
    codes = {f.rule: f for f in lint(rules) if f.code in ("dead", "shadowed")}
    for row in ROWS[:60]:
        hit = [
            line.rule.id
            for line in lines
            if not line.roles.isdisjoint(subject.roles)
            and line.condition.matches(subject, row, environment)
        ]
        for place, rule_id in enumerate(hit):
            finding = codes.get(rule_id)
            assert finding is None or finding.code == "shadowed"
            assert finding is None or place > 0


def test_a_formula_implies_itself_and_nothing_follows_from_true():
    (line,) = shard([rule("it", 4, "allow", "r.obj.in_care_team")])[
        ResourceType.RECORD, Action.READ
    ]
    (always,) = shard([rule("it", 4, "allow", "True")])[ResourceType.RECORD, Action.READ]
    assert implies(applies(line), applies(line))
    assert implies(applies(line), applies(always))
    assert not implies(applies(always), applies(line))
    assert not impossible(applies(line))
