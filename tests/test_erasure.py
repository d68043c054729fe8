"""A patient can be erased: by two people, not under a legal hold, everywhere at once, and for good."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from core.ids import new_id
from core.transparency.book import Book
from core.transparency.notes import Key
from records.access.me import Me
from records.audit import inspection
from records.audit.log_key import VERIFIER_KEY
from records.audit.sealer import BOOK
from records.audit.verifier.findings import Verdict
from tests.apis import Api, serve
from tests.clinics import DETAILS
from tests.sealing import drain, role, seal

REASON = {"reason": "patient-request"}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


def path(api: Api, tail: str = "erasure") -> str:
    return f"/v1/patients/{api.people.patient_id}/{tail}"


async def delete(api: Api, me: Me, where: str) -> int:
    answer = await api.http.delete(where, headers=await api.bearer(me))
    return answer.status_code


async def erase(api: Api) -> None:
    assert (await api.post(api.people.admin, path(api), REASON)).status_code == 202
    assert (await api.post(api.people.compliance, path(api), REASON)).status_code == 200


async def test_nobody_else_may_erase_a_patient(api: Api):
    for who in ("adams", "baker", "nurse", "reception", "patient"):
        me = getattr(api.people, who)
        answer = await api.post(me, path(api), REASON)
        assert answer.status_code in {403, 404}, who
        absent = await api.post(me, f"/v1/patients/{new_id()}/erasure", REASON)
        assert absent.status_code == 404


async def test_one_person_alone_erases_nothing(api: Api):
    assert (await api.post(api.people.admin, path(api), REASON)).status_code == 202
    again = await api.post(api.people.admin, path(api), REASON)
    assert (again.status_code, again.json()["code"]) == (409, "second-approver-needed")
    assert (await api.get(api.people.reception, path(api, "").rstrip("/"))).status_code == 200


async def test_a_legal_hold_forbids_it_until_it_is_lifted(api: Api):
    held = await api.post(api.people.compliance, path(api, "legal-hold"), {"reference": "2026/17"})
    assert held.status_code == 201
    refused = await api.post(api.people.admin, path(api), REASON)
    assert (refused.status_code, refused.json()["code"]) == (423, "legal-hold")
    assert await delete(api, api.people.compliance, path(api, "legal-hold")) == 204
    assert (await api.post(api.people.admin, path(api), REASON)).status_code == 202


async def test_an_administrator_may_not_lift_a_hold(api: Api):
    await api.post(api.people.compliance, path(api, "legal-hold"), {"reference": "2026/17"})
    assert await delete(api, api.people.admin, path(api, "legal-hold")) == 404


async def test_a_request_can_be_taken_back(api: Api):
    await api.post(api.people.admin, path(api), REASON)
    assert await delete(api, api.people.compliance, path(api)) == 204
    assert (await api.get(api.people.admin, path(api))).status_code == 404


async def test_two_people_erase_a_patient_and_get_a_certificate(api: Api):
    await erase(api)
    certificate = (await api.get(api.people.admin, path(api))).json()
    assert certificate["state"] == "erased"
    assert certificate["requested_by"] != certificate["approved_by"]
    assert certificate["keys_destroyed"] == 1
    assert certificate["shred_effective_at"] > certificate["erased_at"]


async def test_what_was_erased_is_gone_to_its_readers_and_absent_to_others(api: Api):
    await erase(api)
    record = f"/v1/records/{api.people.record.id}"
    answer = await api.get(api.people.adams, record)
    assert (answer.status_code, answer.json()["code"]) == (410, "erased")
    assert (await api.get(api.people.baker, record)).status_code == 404


async def test_the_visit_of_the_erased_can_still_be_called_off_and_says_so(api: Api):
    await erase(api)
    visit = f"/v1/appointments/{api.people.appointment_id}"
    answer = await api.post(api.people.reception, f"{visit}/cancel", {})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["erased"] is True
    assert answer.json()["reason"] is None


async def test_no_new_word_is_kept_of_the_erased(api: Api):
    await erase(api)
    visit = f"/v1/appointments/{api.people.appointment_id}"
    answer = await api.post(api.people.reception, f"{visit}/cancel", {"reason": "She died"})
    assert (answer.status_code, answer.json()["code"]) == (410, "erased")
    note = {"kind": "note", "title": "Late", "content": {"text": "x"}}
    answer = await api.post(api.people.adams, f"{visit}/records", note)
    assert (answer.status_code, answer.json()["code"]) == (410, "erased")


async def test_lists_go_on_without_the_erased(api: Api):
    await erase(api)
    for me, where in (
        (api.people.reception, "/v1/patients"),
        (api.people.adams, "/v1/appointments"),
        (api.people.adams, f"/v1/patients/{api.people.patient_id}/records"),
    ):
        answer = await api.get(me, where)
        assert answer.status_code == 200, where
        assert answer.json()["items"] == []


async def test_no_wrapped_key_and_no_search_token_is_left(api: Api, database_url: str):
    await erase(api)
    connection = await asyncpg.connect(database_url)
    keys = await connection.fetch("SELECT state, wrapped FROM patient_key")
    assert [tuple(k) for k in keys] == [("destroyed", None)]
    for table in ("identifier",):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
    await connection.close()


async def test_the_patients_own_login_ends(api: Api):
    headers = await api.bearer(api.people.patient)
    await erase(api)
    await asyncio.sleep(1)
    assert (await api.http.get("/v1/me", headers=headers)).status_code == 401


async def test_an_erased_patients_log_still_verifies_and_names_a_pseudonym_alone(
    api: Api, database_url: str, tmp_path: Path
):
    """Keeping the log for six years and destroying a patient agree: an event knows an id, and nobody knows whose."""
    await api.get(api.people.adams, f"/v1/records/{api.people.record.id}")
    await erase(api)
    await drain(database_url)
    await seal(database_url, tmp_path)
    key = Key.parse((tmp_path / VERIFIER_KEY).read_text())
    async with role(database_url, inspection.ROLE) as database:
        report = await inspection.inspect(database, key, Book(tmp_path / BOOK))
    assert (report.verdict, report.count) == (Verdict.GOOD, 0)
    about = f"/v1/audit/events?patient={api.people.patient_id}"
    found = (await api.get(api.people.compliance, about)).json()["items"]
    told = [(event["action"], event["reason"]) for event in found]
    assert {("read", None), ("erase", "requested"), ("erase", "erased")} <= set(told)
    words = {*DETAILS.name.values(), DETAILS.phone, DETAILS.email, "MRN-4711-QX"}
    assert not [word for word in words if str(word) in str(found)]
