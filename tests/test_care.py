"""Care team, consents, proxies and purposes: each is a fact that decides the very next request."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from core.ids import new_id
from policies.vocabulary import Role
from records.identity import accounts
from tests.apis import Api
from tests.charts import about, reads, signed_chart
from tests.clinics import PASSWORD, me_as, outbox


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with signed_chart(database_url, tmp_path) as api:
        yield api


def doctor(api: Api, who: str) -> dict[str, str]:
    return {"doctor_id": str(getattr(api.people, who).subject.doctor_id)}


def account(api: Api, who: str) -> dict[str, str]:
    return {"account_id": str(getattr(api.people, who).subject.id)}


async def test_whoever_joins_the_care_team_reads_and_whoever_leaves_does_not(api: Api):
    for who, named in (("baker", doctor(api, "baker")), ("nurse", account(api, "nurse"))):
        assert await reads(api, who) == 404
        for each in (account(api, who), named, named):  # by their account too, and clicked twice
            joined = await about(api, "adams", "/care-team", each)
        assert joined.status_code == 201
        assert await reads(api, who) == 200
        path = f"/v1/patients/{api.people.patient_id}/care-team"
        team = (await api.get(api.people.adams, path)).json()["items"]
        assert joined.json() in team
        bearer = await api.bearer(api.people.reception)
        left = await api.http.delete(f"{path}/{joined.json()['id']}", headers=bearer)
        assert left.status_code == 204
        assert await reads(api, who) == 404
        again = await api.http.delete(f"{path}/{joined.json()['id']}", headers=bearer)
        assert again.status_code == 404


async def test_nobody_lets_themselves_in(api: Api):
    for who in ("baker", "nurse"):
        answer = await about(api, who, "/care-team", account(api, who))
        assert answer.status_code == 404
    for who in ("patient", "compliance", "admin"):
        answer = await about(api, who, "/care-team", account(api, "nurse"))
        assert answer.status_code in {403, 404}
    assert await reads(api, "baker") == 404


async def test_a_member_is_one_who_is_there(api: Api):
    for body in [
        {},
        {"doctor_id": str(new_id()), "account_id": str(new_id())},
        {"doctor_id": str(new_id())},
        {"account_id": str(new_id())},
    ]:
        assert (await about(api, "reception", "/care-team", body)).status_code == 422, body


async def test_a_denial_binds_clinicians_and_spares_the_author(api: Api):
    await about(api, "reception", "/care-team", doctor(api, "baker"))
    assert await reads(api, "baker") == 200
    denied = await about(api, "patient", "/consents", {"decision": "deny"})
    assert denied.status_code == 201
    assert await reads(api, "baker") == 404
    assert await reads(api, "adams") == 200
    path = f"/v1/patients/{api.people.patient_id}/consents"
    mine = (await api.get(api.people.patient, path)).json()["items"]
    assert mine == [denied.json()]
    revoked = await about(api, "patient", f"/consents/{mine[0]['id']}/revoke", {})
    assert revoked.json()["revoked_by"] == str(api.people.patient.subject.id)
    assert await reads(api, "baker") == 200
    again = await about(api, "patient", f"/consents/{mine[0]['id']}/revoke", {})
    assert (again.status_code, again.json()["code"]) == (409, "consent-revoked")


async def test_a_denial_reaches_as_far_as_it_says(api: Api):
    await about(api, "reception", "/care-team", doctor(api, "baker"))
    await about(api, "reception", "/care-team", account(api, "nurse"))
    for directive, baker, nurse in [
        ({"role": "nurse"}, 200, 404),
        ({"role": "doctor"}, 404, 200),
        ({"who": "baker"}, 404, 200),
        ({"category": "HIV"}, 200, 200),
        ({"purpose": "TREAT"}, 404, 404),
        ({"purpose": "HOPERAT"}, 200, 200),
    ]:
        body = {"decision": "deny"} | directive
        if who := body.pop("who", None):
            body |= doctor(api, who)
        denied = await about(api, "patient", "/consents", body)
        assert denied.status_code == 201, directive
        assert (await reads(api, "baker"), await reads(api, "nurse")) == (baker, nurse), directive
        await about(api, "patient", f"/consents/{denied.json()['id']}/revoke", {})


async def test_a_permit_by_name_lifts_a_wider_denial_and_lets_in_who_treats_nobody(api: Api):
    await about(api, "patient", "/consents", {"decision": "deny", "role": "doctor"})
    assert await reads(api, "baker") == 404
    permit = {"decision": "permit"} | doctor(api, "baker")
    assert (await about(api, "patient", "/consents", permit)).status_code == 201
    assert await reads(api, "baker") == 200


async def test_a_permit_for_one_category_opens_nothing_else(api: Api):
    permit = {"decision": "permit", "category": "HIV"} | doctor(api, "baker")
    assert (await about(api, "patient", "/consents", permit)).status_code == 201
    assert await reads(api, "baker") == 404


async def test_a_directive_that_means_nothing_is_refused(api: Api):
    for body in [
        {"decision": "permit"},
        {"decision": "permit", "role": "doctor"},
        {"decision": "deny", "role": "doctor", "doctor_id": str(new_id())},
        {"decision": "maybe"},
        {"decision": "deny", "category": "XYZ"},
        {"decision": "deny", "doctor_id": str(new_id())},
        {"decision": "deny", "valid_until": "2020-01-01T00:00:00Z"},
    ]:
        assert (await about(api, "patient", "/consents", body)).status_code == 422, body


async def test_who_names_too_many_is_told_so_in_words(api: Api):
    body = {"decision": "deny", "role": "doctor", "doctor_id": str(new_id())}
    (fault,) = (await about(api, "patient", "/consents", body)).json()["errors"]
    assert (fault["code"], fault["message"]) == ("actor", "name one actor at most")


async def test_a_clinician_does_not_speak_for_the_patient(api: Api):
    for who in ("adams", "baker", "nurse", "admin", "compliance"):
        permit = {"decision": "permit"} | doctor(api, "baker")
        assert (await about(api, who, "/consents", permit)).status_code in {403, 404}
    read = await api.get(api.people.adams, f"/v1/patients/{api.people.patient_id}/consents")
    assert read.json()["items"] == []


async def test_a_guardian_reads_what_bears_no_label_and_keeps_the_visits(
    api: Api, database_url: str
):
    async with api.clinic.database.transaction() as session:
        made = await accounts.create(
            session,
            api.clinic.indexes,
            username="guardian@test",
            password=PASSWORD,
            roles=[Role.PATIENT],
        )
    from policies.facts import Subject

    guardian = me_as(Subject(made.id, frozenset({Role.PATIENT})))
    path = f"/v1/records/{api.people.record.id}"
    assert (await api.get(guardian, path)).status_code == 404
    body = {"account_id": str(made.id), "relationship": "guardian"}
    assert (await about(api, "patient", "/proxies", body)).status_code in {403, 404}
    for _ in range(2):
        proxy = await about(api, "reception", "/proxies", body)
    assert proxy.status_code == 201
    assert (await api.get(guardian, path)).status_code == 200
    visit = f"/v1/appointments/{api.people.appointment_id}"
    assert (await api.get(guardian, visit)).status_code == 200
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE record SET categories = '{SEX}'")
    assert (await api.get(guardian, path)).status_code == 404
    await connection.execute("UPDATE record SET categories = '{}'")
    await connection.close()
    bearer = await api.bearer(api.people.reception)
    ending = f"/v1/patients/{api.people.patient_id}/proxies/{proxy.json()['id']}"
    assert (await api.http.delete(ending, headers=bearer)).status_code == 204
    assert (await api.get(guardian, path)).status_code == 404


async def test_a_purpose_is_one_that_a_role_of_the_caller_may_claim(api: Api, database_url: str):
    for who, purpose, status, code in [
        ("adams", "HCOMPL", 403, "purpose-not-yours"),
        ("patient", "TREAT", 403, "purpose-not-yours"),
        ("compliance", "ETREAT", 403, "purpose-not-yours"),
        ("adams", "CURIOSITY", 400, "bad-parameter"),
        ("adams", "treat", 400, "bad-parameter"),
    ]:
        headers = await api.bearer(getattr(api.people, who)) | {"X-Purpose-Of-Use": purpose}
        answer = await api.http.get("/v1/me", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code), who
        if status == 403:
            event = (await outbox(database_url))[-1]
            assert (event["outcome"], event["reason"]) == ("deny", "purpose"), who


async def test_a_stated_purpose_is_the_one_on_the_trail(api: Api, database_url: str):
    assert await reads(api, "adams", **{"X-Purpose-Of-Use": "ETREAT"}) == 200
    assert (await outbox(database_url))[-1]["purpose"] == "ETREAT"
