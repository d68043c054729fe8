"""SMART v2 scopes: read strictly, granted by cover, and never more than the policy."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Resource, Subject
from policies.scopes import EVERY, Grant, Level, Reach, Scope, granted, parse, read
from policies.vocabulary import Action, ResourceType, Role

PERSONS = (Level.PATIENT, Level.USER)
ME, OTHER = UUID(int=1), UUID(int=2)
SUBJECT = Subject(UUID(int=9), frozenset({Role.PATIENT}), None, ME)

letters = st.sets(st.sampled_from(EVERY), min_size=1).map(
    lambda chosen: "".join(c for c in EVERY if c in chosen)
)
types = st.sampled_from(["*", "Record", "Appointment", "Patient", "AuditEvent", "Practitioner"])
grants = st.builds(Grant, st.sampled_from(Level), types, letters)
scopes = st.lists(grants, max_size=5).map(lambda found: Scope(frozenset(found)))
actions, kinds = st.sampled_from(Action), st.sampled_from(ResourceType)


@pytest.mark.parametrize(
    "word",
    ["", "user", "user/", "user/Record", "user/Record.", "user/Record.sr", "user/Record.rr",
     "user/Record.rx", "user/record.rs", "user/Record.READ", "root/Record.rs", "user/Record.rs ",
     "user/Record.rs?", "user//Record.rs", "user/Re cord.rs", "user/**.rs", "User/Record.rs",
     "user/Record.r\n", "launch/patient", "openid", "user/Réc.rs"],
)  # fmt: skip
def test_what_is_not_in_the_grammar_is_no_resource_scope(word: str):
    assert parse(word) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [("user/*.read", "user/*.rs"), ("user/*.write", "user/*.cud"), ("user/*.*", "user/*.cruds")],
)
def test_words_of_the_first_version_stand_for_letters(old: str, new: str):
    assert parse(old) == parse(new)


@given(grants)
def test_what_is_written_is_read_back(grant: Grant):
    assert parse(str(grant)) == grant


@given(st.text(max_size=60))
def test_reading_never_fails(text: str):
    read(text)


@given(grants, grants, grants)
def test_cover_is_an_order(one: Grant, two: Grant, three: Grant):
    assert one.covers(one)
    if one.covers(two) and two.covers(three):
        assert one.covers(three)


@given(scopes, grants, actions, kinds)
def test_another_word_never_takes_anything_away(scope: Scope, more: Grant, action, kind):
    order = [Reach.NONE, Reach.OWN, Reach.ALL]
    wider = Scope(scope.grants | {more})
    assert order.index(wider.reach(action, kind)) >= order.index(scope.reach(action, kind))


@given(st.lists(grants, max_size=4), st.lists(grants, max_size=4))
def test_a_client_gets_only_what_it_is_registered_for(registered: list, asked: list):
    given_ = granted(" ".join(map(str, registered)), " ".join(map(str, asked)), (), PERSONS)
    for word in given_.split():
        grant = parse(word)
        assert grant in asked
        assert grant.level in PERSONS
        assert any(wide.covers(grant) for wide in registered)


@given(kinds)
def test_a_scope_that_reads_does_not_write(kind: ResourceType):
    scope = read("user/*.rs patient/*.rs system/*.rs")
    assert scope
    able = {a for a in Action if scope.reach(a, kind) is Reach.ALL}
    assert able == {Action.READ, Action.SEARCH, Action.EXPORT}


def test_a_scope_of_a_patient_is_for_their_own():
    scope = read("patient/Record.rs")
    assert scope
    own = Resource(ResourceType.RECORD, patient_id=ME)
    foreign = Resource(ResourceType.RECORD, patient_id=OTHER)
    unknown = Resource(ResourceType.RECORD)
    nobody = Subject(UUID(int=9), frozenset({Role.DOCTOR}))
    assert scope.allows(SUBJECT, Action.READ, own)
    assert not scope.allows(SUBJECT, Action.READ, foreign)
    assert not scope.allows(SUBJECT, Action.READ, unknown)
    assert not scope.allows(nobody, Action.READ, unknown)
    assert not scope.allows(SUBJECT, Action.SIGN, own)


def test_what_cannot_be_enforced_is_not_granted():
    assert granted("user/*.cruds", "user/Record.rs?kind=note openid", ("openid",), PERSONS) == ""
    scope = read("user/Record.rs?kind=note")
    assert scope
    assert scope.reach(Action.READ, ResourceType.RECORD) is Reach.NONE
