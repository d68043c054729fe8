"""Casbin decides by tier, fails closed, tells nobody what it was asked, and is held to its own public class."""

import logging
import logging.config
from dataclasses import replace
from uuid import UUID, uuid4

import casbin
import pytest
from hypothesis import given, settings
from sqlalchemy import false

from policies import enforcer
from policies.enforcer import Decision, Judge, PolicySnapshot
from policies.facts import Environment, Resource, Subject
from policies.rules import Rule
from policies.shards import shard
from policies.vocabulary import ROLES, Action, Purpose, ResourceType, Role
from tests.random_policies import (
    ROWS,
    any_subject,
    completed,
    environments,
    known_subject,
    policies,
)

ME = Subject(UUID(int=1), frozenset({Role.DOCTOR}))
TREATING = Environment(Purpose.TREATMENT)
RECORD = Resource(ResourceType.RECORD, UUID(int=9), status="final")
READ_RECORD = (ResourceType.RECORD, Action.READ)


def rule(
    rule_id: str, tier: int, effect: str, condition: str = "True", subject: str = "doctor"
) -> Rule:
    return Rule(rule_id, tier, subject, "record", "read", effect, condition)


def decide(*rules: Rule, resource: Resource = RECORD, action: Action = Action.READ) -> Decision:
    return PolicySnapshot.build(7, rules).decide(ME, action, resource, TREATING)


def test_without_rules_everything_is_denied():
    for resource_type in ResourceType:
        for action in Action:
            decision = decide(resource=Resource(resource_type), action=action)
            assert decision == Decision(allowed=False, rule_id=None, version=7)


def test_what_no_rule_speaks_of_is_denied():
    allow = rule("allow", 4, "allow")
    assert not decide(allow, action=Action.UPDATE).allowed
    assert not decide(allow, resource=Resource(ResourceType.PATIENT)).allowed
    assert not decide(rule("nurses", 4, "allow", subject="nurse")).allowed
    assert decide(allow) == Decision(allowed=True, rule_id="allow", version=7)


@pytest.mark.parametrize(
    ("rules", "by", "allowed"),
    [
        ("4 deny, 4 allow", "4 deny", False),
        ("3 deny, 4 allow", "3 deny", False),
        ("2 allow, 3 deny, 4 allow", "2 allow", True),
        ("1 deny, 2 allow, 4 allow", "1 deny", False),
        ("2 allow, 2 deny", "2 deny", False),
        ("1 allow, 1 deny, 2 allow", "1 deny", False),
        ("1 allow, 2 deny", "1 allow", True),
    ],
)
def test_the_lower_tier_decides_and_in_a_tier_the_deny(rules: str, by: str, allowed: bool):
    made = [rule(text.replace(" ", "-"), int(text[0]), text[2:]) for text in rules.split(", ")]
    for order in (made, made[::-1]):
        assert decide(*order) == Decision(allowed, by.replace(" ", "-"), 7)


def test_a_rule_binds_a_role_of_this_session_only():
    both = Subject(ME.id, frozenset({Role.DOCTOR, Role.PATIENT}))
    snapshot = PolicySnapshot.build(
        1, [rule("allow", 4, "allow"), rule("not-patients", 3, "deny", subject="patient")]
    )
    assert snapshot.decide(ME, Action.READ, RECORD, TREATING).allowed
    assert not snapshot.decide(both, Action.READ, RECORD, TREATING).allowed
    nobody = Subject(ME.id, frozenset())
    assert not snapshot.decide(nobody, Action.READ, RECORD, TREATING).allowed


def test_a_condition_that_breaks_grants_nothing_and_denies(caplog: pytest.LogCaptureFixture):
    class Odd:
        type = ResourceType.RECORD

    allow, deny = (
        rule("allow", 4, "allow", "r.obj.in_care_team"),
        rule("deny", 3, "deny", "r.obj.in_care_team"),
    )
    always = rule("always", 4, "allow")
    assert decide(allow, resource=Odd()).rule_id is None
    assert decide(always, resource=Odd()).allowed
    assert decide(deny, always, resource=Odd()).rule_id == "deny"
    assert "condition-broke record AttributeError" in caplog.text


def test_an_enforcer_switched_off_denies():
    rules = [rule("allow", 4, "allow")]
    judge = Judge(READ_RECORD, shard(rules)[READ_RECORD])
    assert judge.decide(ME, Action.READ, RECORD, TREATING) == (True, "allow")
    judge._casbin.enable_enforce(enabled=False)
    assert judge.decide(ME, Action.READ, RECORD, TREATING) == (False, None)


def test_casbin_logs_nothing_even_when_its_loggers_are_switched_on(
    caplog: pytest.LogCaptureFixture,
):
    snapshot = PolicySnapshot.build(1, [rule("allow", 4, "allow", "r.obj.in_care_team")])
    for name in ("casbin", "casbin.enforcer", "casbin.policy"):
        logging.getLogger(name).disabled = False
        logging.getLogger(name).setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        assert not snapshot.decide(ME, Action.READ, RECORD, TREATING).allowed
    assert caplog.records == []


def test_a_fact_shows_its_type_and_id_alone():
    shown = f"{RECORD!r} {ME!r}"
    assert shown == f"record {RECORD.id} subject {ME.id}"


def test_a_list_nobody_may_see_is_empty_and_no_error():
    snapshot = PolicySnapshot.build(1, [rule("nurses", 4, "allow", subject="nurse")])
    for resource_type in (ResourceType.RECORD, ResourceType.KEY):
        predicate = snapshot.predicate(ME, Action.READ, resource_type, TREATING, {})
        assert predicate.compare(false())


def test_a_list_without_a_column_the_rules_need_is_an_error_and_not_unfiltered():
    snapshot = PolicySnapshot.build(
        1, [rule("deny", 1, "deny", "r.obj.status == 'draft'"), rule("allow", 4, "allow")]
    )
    with pytest.raises(LookupError, match=r"no column for r\.obj\.status"):
        snapshot.predicate(ME, Action.READ, ResourceType.RECORD, TREATING, {})


def stock(rules: list[Rule]) -> casbin.Enforcer:
    """Casbin as anybody would run it: the same rows, the condition through its own eval()."""
    text = enforcer.MODEL.replace("holds(p.cond, p.eft, r.sub, r.obj, r.env)", "eval(p.cond)")
    assert "eval" in text
    engine = casbin.Enforcer(casbin.Enforcer.new_model(text=text), enable_log=False)
    rows = sorted(rules, key=lambda rule: rule.priority)
    for row in rows:
        line = (str(row.priority), row.subject, "record", "read", row.condition, row.effect)
        engine.add_policy(*line)
    engine.add_function("in_role", lambda sub, name: not ROLES[name].isdisjoint(sub.roles))
    engine.logger = enforcer._MUTE
    return engine


@given(rules=policies(), subject=known_subject, environment=environments)
@settings(max_examples=60, deadline=None)
def test_casbins_own_eval_agrees_on_known_facts(
    rules: list[Rule], subject: Subject, environment: Environment
):
    snapshot, engine = PolicySnapshot.build(1, rules), stock(rules)
    for row in map(completed, ROWS[:10]):
        expected = engine.enforce(subject, row, Action.READ, environment)
        assert snapshot.decide(subject, Action.READ, row, environment).allowed is expected


@given(rules=policies(), subject=any_subject, environment=environments)
@settings(max_examples=60, deadline=None)
def test_the_compiled_matcher_agrees_with_casbins_interpreter(
    rules: list[Rule], subject: Subject, environment: Environment
):
    lines = shard(rules)[READ_RECORD]
    quick, plain = Judge(READ_RECORD, lines), Judge(READ_RECORD, lines, casbin.Enforcer)
    for row in ROWS[:20]:
        facts = (subject, Action.READ, row, environment)
        assert quick.decide(*facts) == plain.decide(*facts)


def test_a_snapshot_does_not_change():
    snapshot = PolicySnapshot.build(1, [])
    with pytest.raises(AttributeError):
        snapshot.version = 2


def test_a_decision_is_kept_for_rows_that_differ_by_id_alone_and_not_where_a_rule_asks_for_the_id():
    other = replace(RECORD, id=uuid4())
    snapshot = PolicySnapshot.build(1, [rule("any", 4, "allow")])
    assert snapshot.decide(ME, Action.READ, other, TREATING).allowed
    snapshot = PolicySnapshot.build(1, [rule("own", 4, "allow", "r.obj.id == r.sub.id")])
    mine = replace(RECORD, id=ME.id)
    assert snapshot.decide(ME, Action.READ, mine, TREATING).allowed
    assert not snapshot.decide(ME, Action.READ, other, TREATING).allowed


def test_a_new_snapshot_compiles_only_what_is_said_otherwise_than_before():
    read, other = rule("a", 4, "allow"), replace(rule("b", 4, "allow"), action="update")
    old = PolicySnapshot.build(1, [read, other])
    for said in (
        replace(read, condition="False"),
        replace(read, effect="deny"),
        replace(read, subject="nurse"),
        replace(read, tier=1),
    ):
        new = PolicySnapshot.build(2, [said, other], old)
        assert new.lines(*READ_RECORD) is not old.lines(*READ_RECORD)
        assert new.judges[READ_RECORD] is not old.judges[READ_RECORD]
        update = ResourceType.RECORD, Action.UPDATE
        assert new.judges[update] is old.judges[update]
    gone = PolicySnapshot.build(3, [other], old)
    assert gone.decide(ME, Action.READ, RECORD, TREATING) == Decision(False, None, 3)
    back = PolicySnapshot.build(4, [read, other], gone)
    assert back.decide(ME, Action.READ, RECORD, TREATING) == Decision(True, "a", 4)


@given(first=policies(), second=policies(), subject=any_subject, environment=environments)
@settings(max_examples=30, deadline=None)
def test_a_snapshot_made_from_another_decides_as_one_made_from_nothing(
    first: list[Rule], second: list[Rule], subject: Subject, environment: Environment
):
    second = [*first[: len(first) // 2], *second[len(first) // 2 :]]
    made = PolicySnapshot.build(2, second, PolicySnapshot.build(1, first))
    fresh = PolicySnapshot.build(2, second)
    for row in ROWS[:40]:
        asked = subject, Action.READ, row, environment
        assert made.decide(*asked) == fresh.decide(*asked)
