"""Scopes at work: a token does what its scope and the policy both allow, and says so when it is the scope."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from records.access.me import Me
from records.identity import sessions
from tests.apis import Api, serve
from tests.clinics import PASSWORD, outbox


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def bearer(api: Api, me: Me, scope: str) -> dict[str, str]:
    async with api.clinic.database.transaction() as session:
        family = await sessions.start(session, me.subject.id, "confide-cli", scope, api.tokens.life)
    return {"Authorization": f"Bearer {api.tokens.access(family)}"}


async def test_a_token_that_reads_does_not_write(api: Api, database_url: str):
    adams = await bearer(api, api.people.adams, "openid user/*.rs")
    record, visit = api.people.record.id, api.people.appointment_id
    read = await api.http.get(f"/v1/records/{record}", headers=adams)
    assert read.status_code == 200
    note = {"kind": "note", "title": "More", "content": {"text": "more"}}
    written = await api.http.post(f"/v1/appointments/{visit}/records", json=note, headers=adams)
    assert (written.status_code, written.json()["code"]) == (403, "insufficient-scope")
    signed = await api.http.post(
        f"/v1/records/{record}/sign", json={}, headers=adams | {"If-Match": read.headers["etag"]}
    )
    assert (signed.status_code, signed.json()["code"]) == (403, "insufficient-scope")
    refused = [e for e in await outbox(database_url) if e["rule"] == "token-scope"]
    assert {e["outcome"] for e in refused} == {"deny"}


async def test_what_is_out_of_scope_is_refused_like_what_does_not_exist(
    api: Api, database_url: str
):
    adams = await bearer(api, api.people.adams, "user/Appointment.rs")
    hidden = await api.http.get(f"/v1/records/{api.people.record.id}", headers=adams)
    absent = await api.http.get(f"/v1/records/{api.people.patient_id}", headers=adams)
    assert hidden.status_code == absent.status_code == 403
    noted = [e for e in await outbox(database_url) if e["rule"] == "token-scope"]
    assert [(e["action"], e["outcome"], e["resource_ids"]) for e in noted] == [
        ("read", "deny", [])
    ] * 2
    volatile = ("instance", "request_id")
    one, two = (
        {k: v for k, v in json.loads(a.text).items() if k not in volatile} for a in (hidden, absent)
    )
    assert one == two


async def test_a_list_holds_what_the_scope_reads(api: Api):
    for scope, count in (
        ("user/Patient.rs", 1),
        ("user/*.cruds", 1),
        ("user/Record.rs", 0),
        ("patient/*.rs", 0),
    ):
        adams = await bearer(api, api.people.adams, scope)
        listed = await api.http.get("/v1/patients", headers=adams)
        assert listed.status_code in (200, 403)
        assert len(listed.json().get("items", [])) == count, scope


async def test_a_scope_does_not_give_what_the_policy_does_not(api: Api):
    baker = await bearer(api, api.people.baker, "user/*.cruds patient/*.cruds")
    assert (
        await api.http.get(f"/v1/records/{api.people.record.id}", headers=baker)
    ).status_code == 404
    assert (await api.http.get("/v1/accounts", headers=baker)).status_code == 403


async def test_a_patients_scope_reaches_their_own_file(api: Api):
    patient = await bearer(api, api.people.patient, "patient/Patient.r")
    own = f"/v1/patients/{api.people.patient_id}"
    assert (await api.http.get(own, headers=patient)).status_code == 200
    adams = await bearer(api, api.people.adams, "patient/Patient.r")
    assert (await api.http.get(own, headers=adams)).status_code == 404


async def test_a_token_that_was_lent_does_not_keep_its_owners_account(api: Api):
    nurse = await bearer(api, api.people.nurse, "openid user/Patient.rs")
    body = {"current_password": PASSWORD, "new_password": "seven umbrellas at sea"}
    changed = await api.http.post("/v1/me/password", json=body, headers=nurse)
    assert (changed.status_code, changed.json()["code"]) == (403, "insufficient-scope")
    assert (await api.http.delete("/v1/me/sessions", headers=nurse)).status_code == 403
    for path in ("/v1/me/sessions", "/v1/me/applications"):
        assert (await api.http.get(path, headers=nurse)).status_code == 403
