"""The legal life of a record over HTTP: what may be done to it in which state, by whom, and what stays."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import rfc8785

from core.ids import new_id
from records.access.models import CareTeam, Consent, Decision
from tests.apis import Api, serve
from tests.clinics import outbox, slip_in

ACTS = {
    "sign": {},
    "cosign": {},
    "amend": {"reason": "a reason"},
    "addenda": {"content": "more"},
    "enter-in-error": {"reason": "a reason"},
}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def act(api: Api, what: str, who: str = "adams", body: Any = None) -> httpx.Response:
    path = f"/v1/records/{api.people.record.id}/{what}"
    return await api.post(getattr(api.people, who), path, ACTS[what] if body is None else body)


async def patch(api: Api, body: object, match: str | None = 'W/"1"') -> httpx.Response:
    headers = await api.bearer(api.people.adams) | ({"If-Match": match} if match else {})
    path = f"/v1/records/{api.people.record.id}"
    return await api.http.patch(path, headers=headers, json=body)


async def read(api: Api, who: str = "adams", tail: str = "") -> httpx.Response:
    return await api.get(getattr(api.people, who), f"/v1/records/{api.people.record.id}{tail}")


async def treats(api: Api, who: str) -> None:
    """Put somebody into the patient's care team."""
    subject = getattr(api.people, who).subject
    member = CareTeam(
        patient_id=api.people.patient_id,
        doctor_id=subject.doctor_id,
        account_id=None if subject.doctor_id else subject.id,
    )
    await slip_in(api.clinic, member)


async def test_an_edit_names_the_version_it_is_based_on(api: Api):
    for match, status, code in [
        (None, 428, "precondition-required"),
        ('W/"2"', 412, "precondition-failed"),
        ("yesterday", 412, "precondition-failed"),
        ('"yesterday", W/"1", W/"2"', 412, "precondition-failed"),
        ('"yesterday", W/"1"', 200, None),
    ]:
        answer = await patch(api, {"title": "Migraine"}, match)
        assert (answer.status_code, answer.json().get("code")) == (status, code), match


async def test_an_edit_changes_nothing_but_words_label_and_readiness(api: Api):
    for body in (
        {"status": "final"},
        {"author_id": str(new_id())},
        {"patient_id": str(new_id())},
        {"title": None},
        {"title": ""},
        {"sensitivity": "U"},
        {"version": 7},
    ):
        assert (await patch(api, body)).status_code == 422, body
        assert (await read(api)).json()["version"] == 1


async def test_an_edit_is_a_merge_patch_and_a_new_version(api: Api):
    before = (await read(api)).json()
    edited = await patch(
        api, {"title": "Migraine", "content": {"plan": "Rest"}, "status": "preliminary"}
    )
    assert edited.status_code == 200
    assert edited.headers["etag"] == 'W/"2"'
    assert edited.json()["content"] == {**before["content"], "plan": "Rest"}
    assert (edited.json()["status"], edited.json()["act"]) == ("preliminary", "edit")
    assert (await read(api)).json() == edited.json()
    assert (await read(api, tail="/versions/1")).json() == before


async def test_what_is_not_signed_is_edited_and_not_added_to(api: Api):
    await treats(api, "baker")
    for what in ("cosign", "amend", "addenda"):
        answer = await act(api, what)
        assert (answer.status_code, answer.json()["code"]) == (409, "record-unsigned")


async def test_a_signed_record_is_never_changed(api: Api):
    await act(api, "sign")
    for answer in (await patch(api, {"title": "Other"}, 'W/"2"'), await act(api, "sign")):
        assert (answer.status_code, answer.json()["code"]) == (409, "record-signed")
    assert (await read(api)).json()["title"] == "Megrims"


async def test_the_signer_is_who_asks_and_cannot_be_chosen(api: Api):
    chosen = await act(api, "sign", body={"signer_id": str(api.people.baker.subject.id)})
    assert chosen.status_code == 422
    signed = (await act(api, "sign")).json()
    assert signed["status"] == "final"
    assert signed["signature"]["signer_id"] == str(api.people.adams.subject.id)
    assert signed["signature"]["signed_at"] == signed["written_at"]


async def test_a_signature_is_the_digest_of_the_canonical_version(api: Api):
    signed = (await act(api, "sign")).json()
    stated = ("id", "patient_id", "kind", "act", "status", "sensitivity", "writer_id")
    text = {name: signed[name] for name in (*stated, "title", "content", "reason")}
    text |= {
        "categories": [],
        "number": signed["version"],
        "signed_at": signed["signature"]["signed_at"],
    }
    assert signed["signature"]["digest"] == sha256(rfc8785.dumps(text)).hexdigest()


async def test_only_the_author_edits_and_signs(api: Api):
    await treats(api, "baker")
    await patch(api, {"status": "preliminary"})
    for answer in (await act(api, "sign", "baker"), await act(api, "amend", "baker")):
        assert answer.status_code in {403, 409}
    assert (await act(api, "sign", "baker")).json()["code"] == "forbidden"


async def test_to_whom_a_record_is_hidden_no_act_tells_it_from_nothing(api: Api):
    for state in ("draft", "final"):
        if state == "final":
            await act(api, "sign")
        for what, body in ACTS.items():
            hidden = await act(api, what, "baker")
            absent = await api.post(api.people.baker, f"/v1/records/{new_id()}/{what}", body)
            assert hidden.status_code == absent.status_code == 404, (state, what)
            assert hidden.json()["detail"] == absent.json()["detail"]


async def test_who_treats_the_patient_does_nothing_to_a_record_that_is_hidden_from_them(api: Api):
    await treats(api, "baker")
    await act(api, "sign")
    denial = Consent(
        patient_id=api.people.patient_id,
        decision=Decision.DENY,
        created_by=api.people.patient.subject.id,
    )
    await slip_in(api.clinic, denial)
    for what in ACTS:
        assert (await act(api, what, "baker")).status_code == 404, what
    assert (await read(api)).json()["version"] == 2


async def test_an_amendment_says_why_and_keeps_what_was_signed(api: Api):
    assert (await act(api, "amend", body={"title": "x"})).status_code == 422
    signed = (await act(api, "sign")).json()
    amended = await act(api, "amend", body={"title": "Migraine", "reason": "Mistyped"})
    assert (amended.json()["status"], amended.json()["reason"]) == ("amended", "Mistyped")
    assert amended.json()["signature"]["digest"] != signed["signature"]["digest"]
    assert (await read(api, tail="/versions/2")).json() == signed
    corrected = await act(api, "amend", body={"reason": "Again", "correction": True})
    assert corrected.json()["status"] == "corrected"


async def test_an_addendum_is_a_record_of_its_own_with_its_own_signature(api: Api):
    await treats(api, "baker")
    signed = (await act(api, "sign")).json()
    added = await act(api, "addenda", "baker", {"content": "Better after sumatriptan."})
    assert added.status_code == 201
    note = (await api.get(api.people.baker, added.headers["location"])).json()
    assert note == added.json()
    assert (note["status"], note["addendum_to"]) == ("final", signed["id"])
    assert note["signature"]["signer_id"] == str(api.people.baker.subject.id)
    now = (await read(api)).json()
    assert (now["status"], now["title"], now["content"]) == (
        "addended",
        signed["title"],
        signed["content"],
    )
    listed = await read(api, tail="/addenda")
    assert listed.json()["items"] == [note]


async def test_a_doctor_who_treats_the_patient_countersigns_and_the_author_does_not(api: Api):
    await treats(api, "baker")
    await act(api, "sign")
    assert (await act(api, "cosign")).status_code == 403
    both = (await act(api, "cosign", "baker")).json()
    assert (both["status"], both["act"]) == ("final", "cosign")
    assert both["signature"]["signer_id"] == str(api.people.baker.subject.id)
    assert both["author_id"] == str(api.people.adams.subject.id)


async def test_what_was_entered_in_error_stays_readable_and_takes_nothing_more(api: Api):
    await act(api, "sign")
    wrong = await act(api, "enter-in-error", body={"reason": "Another patient's"})
    assert (wrong.json()["status"], wrong.json()["reason"]) == (
        "entered-in-error",
        "Another patient's",
    )
    assert (await read(api)).json() == wrong.json()
    for what in ACTS:
        assert (await act(api, what)).json()["code"] == "record-retracted"
    assert (await read(api, "patient")).status_code == 404


async def test_a_locked_record_takes_nothing_more(api: Api):
    assert (await act(api, "sign", body={"lock": True})).json()["locked"] is True
    for what in ACTS:
        answer = await act(api, what)
        assert (answer.status_code, answer.json()["code"]) == (423, "record-locked")


async def test_versions_are_listed_to_those_who_may_read_each(api: Api):
    await patch(api, {"title": "Migraine"})
    await act(api, "sign")
    mine = (await read(api, tail="/versions")).json()["items"]
    assert [(v["version"], v["act"]) for v in mine] == [(3, "sign"), (2, "edit"), (1, "write")]
    patients = (await read(api, "patient", "/versions")).json()["items"]
    assert [v["version"] for v in patients] == [3]
    assert (await read(api, "patient", "/versions/1")).status_code == 404
    assert (await read(api, "baker", "/versions")).status_code == 404
    assert (await read(api, tail="/versions/4")).status_code == 404


async def test_an_old_version_under_a_lower_label_hides_behind_the_present_one(api: Api):
    await act(api, "sign")
    assert (await read(api, "patient", "/versions/2")).status_code == 200
    async with api.clinic.database.transaction() as session:
        from sqlalchemy import text

        await session.execute(text("UPDATE record SET sensitivity = 'V'"))
    assert (await read(api, "patient", "/versions/2")).status_code == 404


async def test_reading_an_old_version_is_an_event(api: Api, database_url: str):
    await act(api, "sign")
    await read(api, tail="/versions/1")
    event = (await outbox(database_url))[-1]
    assert (event["action"], event["resource_ids"]) == ("read", [str(api.people.record.id)])
    assert event["endpoint"] == "GET /v1/records/{record_id}/versions/{number}"


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE record SET sensitivity = 'R'",
        "UPDATE record_version SET written_at = written_at - interval '1 day' WHERE number = 2",
        "UPDATE record_version SET digest = NULL WHERE number = 2",
        "UPDATE record SET kind = 'referral'",
        "UPDATE record_version SET author_id = (SELECT id FROM account WHERE roles = '{nurse}')",
    ],
)
async def test_what_is_not_what_was_signed_is_an_error_and_an_event(
    api: Api, database_url: str, tampering: str
):
    await act(api, "sign")
    assert (await read(api)).status_code == 200
    connection = await asyncpg.connect(database_url)
    await connection.execute(tampering)
    await connection.close()
    answer = await read(api)
    assert (answer.status_code, answer.json()["code"]) == (500, "integrity")
    event = (await outbox(database_url))[-1]
    assert (event["outcome"], event["reason"]) == ("error", "signature")


async def test_of_two_acts_at_once_one_wins(api: Api):
    import asyncio

    answers = await asyncio.gather(*(act(api, "sign") for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409]
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {
        "record-changed",
        "record-signed",
    }
    assert (await read(api)).json()["version"] == 2


async def test_a_signature_is_sealed_like_the_words_it_is_over(api: Api, database_url: str):
    signed = (await act(api, "sign")).json()
    connection = await asyncpg.connect(database_url)
    kept = await connection.fetchval("SELECT digest FROM record_version WHERE number = 2")
    await connection.close()
    assert bytes.fromhex(signed["signature"]["digest"]) not in kept
