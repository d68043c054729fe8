"""Asking why: the answer is the decision that would be made, and tells its reader no more than they may know."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.ids import new_id
from records.access.me import Me
from records.access.models import CareTeam, Consent, Decision
from tests.apis import Api, serve
from tests.clinics import outbox, slip_in
from tests.policy_apis import TIGHT, Desk


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


def question(subject: Me, kind: str, row_id: object, action: str = "read") -> dict:
    resource = {"type": kind, "id": str(row_id)}
    return {"subject": str(subject.subject.id), "action": action, "resource": resource}


async def test_others_ask_about_themselves_alone(api: Api, database_url: str):
    people = api.people
    about = question(people.adams, "record", people.record.id)
    answer = await api.post(people.baker, "/v1/policies/check", about)
    assert answer.status_code == 403
    assert (await outbox(database_url))[-1]["action"] == "explain"
    assert (await api.post(people.nurse, "/v1/policies/who-can", about)).status_code in (403, 422)


@pytest.mark.parametrize("action", ["read", "cosign"])
async def test_who_may_not_see_a_thing_hears_of_it_what_an_absent_one_tells(api: Api, action: str):
    people = api.people
    treating = CareTeam(patient_id=people.patient_id, doctor_id=people.baker.subject.doctor_id)
    denial = Consent(
        patient_id=people.patient_id,
        decision=Decision.DENY,
        created_by=people.patient.subject.id,
    )
    await slip_in(api.clinic, treating, denial)
    answers = []
    for row_id in (people.record.id, new_id()):
        asked = question(people.baker, "record", row_id, action)
        answers.append((await api.post(people.baker, "/v1/policies/check", asked)).json())
    assert answers[0] == answers[1]
    assert answers[0]["decision"] == "deny"
    assert answers[0]["candidates"] == []


async def test_one_who_may_hears_which_rule_says_so_and_no_rule_for_others(api: Api):
    people = api.people
    asked = question(people.adams, "record", people.record.id)
    answer = (await api.post(people.adams, "/v1/policies/check", asked)).json()
    assert (answer["allowed"], answer["rule_id"]) == (True, "record-read-doctor")
    assert {c["role_matched"] for c in answer["candidates"]} == {True}


async def test_compliance_hears_why_and_what_was_missing(api: Api, database_url: str):
    people = api.people
    asked = question(people.nurse, "appointment", people.appointment_id)
    answer = (await api.post(people.compliance, "/v1/policies/check", asked)).json()
    assert (answer["decision"], answer["rule_id"]) == ("deny", None)
    assert answer["nearest_allow"] == {
        "rule_id": "appointment-nurse",
        "role_matched": True,
        "missing": [{"text": "r.obj.in_care_team", "truth": "false"}],
    }
    desk = next(c for c in answer["candidates"] if c["rule_id"] == "appointment-desk")
    assert (desk["role_matched"], desk["truth"], desk["applies"]) == (False, "true", False)
    event = (await outbox(database_url))[-1]
    assert (event["action"], event["resource_ids"]) == ("explain", [str(people.appointment_id)])


async def test_a_draft_may_be_asked_instead(api: Api):
    desk, people = await Desk.open(api), api.people
    rule = {**TIGHT, "effect": "allow", "resource": "appointment", "condition": "True", "tier": 4}
    draft = await desk.draft(rule)
    asked = question(people.nurse, "appointment", people.appointment_id)
    plain = (await api.post(people.admin, "/v1/policies/check", asked)).json()
    asked |= {"draft_id": draft["id"]}
    drafted = (await api.post(people.admin, "/v1/policies/check", asked)).json()
    assert (plain["allowed"], drafted["allowed"]) == (False, True)
    assert (await api.post(people.nurse, "/v1/policies/check", asked)).status_code == 403


async def test_who_can_see_a_record_is_listed_with_the_rule(api: Api):
    people = api.people
    asked = {"resource": {"type": "record", "id": str(people.record.id)}}
    answer = await api.post(people.compliance, "/v1/policies/who-can", asked)
    assert answer.json()["items"] == [
        {"account_id": str(people.adams.subject.id), "roles": ["doctor"], "rule": "record-read-doctor"}
    ]  # fmt: skip
    nobody = {"resource": {"type": "record", "id": str(new_id())}}
    answer = await api.post(people.compliance, "/v1/policies/who-can", nobody)
    assert answer.json()["items"] == []


async def test_the_check_and_the_read_agree_for_everybody(api: Api):
    people = api.people
    everybody = (people.adams, people.baker, people.reception, people.nurse, people.patient)
    things = (
        ("record", people.record.id, f"/v1/records/{people.record.id}"),
        ("patient", people.patient_id, f"/v1/patients/{people.patient_id}"),
        ("appointment", people.appointment_id, f"/v1/appointments/{people.appointment_id}"),
    )
    for who in everybody:
        for kind, row_id, path in things:
            asked = question(who, kind, row_id)
            answer = (await api.post(people.admin, "/v1/policies/check", asked)).json()
            read = await api.get(who, path)
            assert answer["allowed"] is (read.status_code == 200), (who, kind)
