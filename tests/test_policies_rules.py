"""A set of rules is good as a whole or refused as a whole."""

import dataclasses

import pytest

from policies.enforcer import PolicySnapshot
from policies.rules import BadRules, Rule, checksum, defaults, load_csv
from policies.vocabulary import Role

HEADER = "id,tier,subject,resource,action,effect,condition,note\n"
GOOD = Rule("good", 4, "doctor", "record", "read", "allow", "r.obj.in_care_team")

BROKEN = {
    "id": ("Bad id", "rule-id"),
    "tier": (5, "rule-tier"),
    "subject": ("doctor surgeon", "rule-subject"),
    "resource": ("record *", "rule-resource"),
    "action": ("raed", "rule-action"),
    "effect": ("Deny", "rule-effect"),
    "condition": ("r.obj.nmae is None", "condition-attribute"),
}


@pytest.mark.parametrize(("field", "value", "code"), [(f, v, c) for f, (v, c) in BROKEN.items()])
def test_one_broken_rule_refuses_the_whole_set(field: str, value: str | int, code: str):
    broken = dataclasses.replace(GOOD, **{"id": "broken", field: value})
    with pytest.raises(BadRules) as refusal:
        PolicySnapshot.build(1, [GOOD, broken])
    (error,) = refusal.value.errors
    assert (error.pointer, error.code) == (f"/rules/1/{field}", code)
    assert str(value) not in error.message


@pytest.mark.parametrize("word", ["", "*", "deny ", "denied", "DENY"])
def test_an_effect_is_allow_or_deny_to_the_letter(word: str):
    row = f"x,4,doctor,record,read,{word},True,"
    with pytest.raises(BadRules):
        load_csv(f"{HEADER}{row}\n")


@pytest.mark.parametrize("field", ["subject", "resource", "action"])
def test_a_rule_about_nothing_is_refused(field: str):
    with pytest.raises(BadRules):
        PolicySnapshot.build(1, [dataclasses.replace(GOOD, **{field: " "})])


@pytest.mark.parametrize("tier", ["", "-1", "0", "1.0", "01", "five", "¹"])
def test_a_tier_is_a_digit_from_one_to_four(tier: str):
    with pytest.raises(BadRules):
        load_csv(f"{HEADER}x,{tier},doctor,record,read,allow,True,\n")


def test_two_rules_with_one_id_are_refused():
    with pytest.raises(BadRules) as refusal:
        PolicySnapshot.build(1, [GOOD, GOOD])
    assert {error.code for error in refusal.value.errors} == {"rule-id-twice"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "id,tier\n",
        HEADER.replace("tier,subject", "subject,tier"),
        f"{HEADER}x,4,doctor,record,read,allow,True\n",
        f"{HEADER}x,4,doctor,record,read,allow,r.obj.status in ['a', 'b'],unquoted comma\n",
        f'{HEADER}x,4,doctor,record,read,allow,"True,\n',
    ],
)
def test_a_file_of_another_shape_is_refused(text: str):
    with pytest.raises(BadRules) as refusal:
        load_csv(text)
    assert refusal.value.code == "rules-csv"


def test_a_wildcard_rule_names_only_what_every_resource_has():
    PolicySnapshot.build(1, [dataclasses.replace(GOOD, resource="*", condition="True")])
    with pytest.raises(BadRules):
        PolicySnapshot.build(1, [dataclasses.replace(GOOD, resource="*")])


def test_a_group_stands_for_its_roles():
    assert dataclasses.replace(GOOD, subject="clinician").roles == {Role.DOCTOR, Role.NURSE}
    staff = set(Role) - {Role.PATIENT, Role.CLOCKWORK}
    assert dataclasses.replace(GOOD, subject="staff").roles == staff
    assert dataclasses.replace(GOOD, subject="anyone").roles == staff | {Role.PATIENT}
    assert dataclasses.replace(GOOD, subject="nurse admin").roles == {Role.NURSE, Role.ADMIN}


def test_the_checksum_knows_content_and_not_order():
    rules = defaults()
    assert checksum(rules) == checksum(rules[::-1])
    for field in dataclasses.fields(Rule):
        changed = dataclasses.replace(rules[0], **{field.name: "changed"})
        assert checksum([changed, *rules[1:]]) != checksum(rules)
