"""z3 finds the case that lists and samples do not show; what it finds is so."""

import builtins
from uuid import UUID

import pytest
from hypothesis import given, settings

from core.errors import Unavailable
from policies.analysis import differences, invariants, verdicts
from policies.enforcer import PolicySnapshot
from policies.rules import Rule, check, defaults
from policies.vocabulary import Action
from tests.random_policies import ROWS, any_subject, environments, policies

pytest.importorskip("z3")
SHIPPED = PolicySnapshot.build(1, defaults())


def changed(*put: Rule, remove: str = "") -> PolicySnapshot:
    kept = [rule for rule in defaults() if rule.id != remove]
    return PolicySnapshot.build(2, [*kept, *put])


def test_the_shipped_rules_keep_every_shipped_invariant():
    check(invariants())
    assert [(v.id, v.case) for v in verdicts(SHIPPED) if not v.holds] == []


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        (Rule("x", 4, "receptionist", "record", "read", "allow", "r.obj.kind == 'note'"), "desk-reads-no-record"),
        (Rule("x", 4, "patient", "record", "read", "allow", "r.obj.status == 'final'"), "patient-reads-own"),
        (Rule("x", 2, "doctor", "record", "read", "allow", "r.obj.in_care_team"), "uncleared-reads-nothing"),
        (Rule("x", 1, "staff", "audit_event", "read", "allow", "True"), "trail-is-not-for-doers"),
    ],
)  # fmt: skip
def test_a_rule_that_breaks_one_is_shown_the_case(rule: Rule, broken: str):
    found = {v.id: v for v in verdicts(changed(rule)) if not v.holds}
    assert broken in found
    assert found[broken].case["role"] in rule.roles


def test_a_difference_that_no_row_of_today_shows_is_found():
    lax = Rule("x", 4, "nurse", "record", "read", "allow", "r.obj.kind == 'referral' and r.obj.sensitivity == 'R'")  # fmt: skip
    found = {v.id: v for v in differences(SHIPPED, changed(lax))}
    assert set(found) == {"grants record read", "denies record read"}
    case = found["grants record read"].case
    assert (case["role"], case["r.obj.kind"], case["r.obj.sensitivity"]) == (
        "nurse",
        "referral",
        "R",
    )
    assert found["denies record read"].case is None


def test_the_same_rule_said_otherwise_is_no_difference():
    rule = next(r for r in defaults() if r.id == "hard-draft")
    said = Rule(
        "other", rule.tier, rule.subject, rule.resource, rule.action, rule.effect,
        "not (r.obj.status != 'draft' or r.obj.author_id == r.sub.id)",
    )  # fmt: skip
    found = list(differences(SHIPPED, changed(said, remove="hard-draft")))
    assert found
    assert all(verdict.holds for verdict in found)


@given(old=policies(), new=policies(), subject=any_subject, environment=environments)
@settings(max_examples=25, deadline=None)
def test_where_z3_finds_no_difference_no_row_shows_one(old, new, subject, environment):
    one, other = PolicySnapshot.build(1, old), PolicySnapshot.build(2, new)
    alike = {v.id for v in differences(one, other) if v.holds}
    single = type(subject)(UUID(int=1), frozenset(list(subject.roles)[:1]), subject.doctor_id, subject.patient_id)  # fmt: skip
    for row in ROWS[:80]:
        was, will = (s.decide(single, Action.READ, row, environment).allowed for s in (one, other))
        if "grants record read" in alike:
            assert was or not will
        if "denies record read" in alike:
            assert will or not was


def test_without_z3_it_says_so(monkeypatch: pytest.MonkeyPatch):
    plain = builtins.__import__

    def none(name, *args: object, **kwargs: object):
        if name == "z3":
            raise ImportError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", none)
    with pytest.raises(Unavailable, match="not installed"):
        list(verdicts(SHIPPED))
