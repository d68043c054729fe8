"""Amending a patient: on the version one has read, by a merge patch, within the rules; and what was stays readable."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import asyncpg
import pytest
import time_machine

from core.ids import new_id
from core.settings import settings
from records.people.checking import born
from tests.apis import Api, serve
from tests.test_api import PATIENT


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


@pytest.fixture
async def path(api: Api) -> str:
    made = await api.post(api.people.reception, "/v1/patients", PATIENT)
    assert made.status_code == 201
    return made.headers["location"]


async def test_a_change_without_if_match_is_refused(api: Api, path: str):
    answer = await api.patch(api.people.reception, path, {"phone": None}, None)
    assert (answer.status_code, answer.json()["code"]) == (428, "precondition-required")


async def test_a_change_of_another_version_is_refused(api: Api, path: str):
    for tag in ('W/"2"', '"7"', "1", "x", 'W/""'):
        answer = await api.patch(api.people.reception, path, {"phone": None}, tag)
        assert (answer.status_code, answer.json()["code"]) == (412, "precondition-failed")


async def test_of_two_changes_of_one_version_one_is_made(api: Api, path: str):
    import asyncio

    changes = [
        api.patch(api.people.reception, path, {"language": word}, 'W/"1"') for word in ("en", "fr")
    ]
    answers = await asyncio.gather(*changes)
    assert sorted(a.status_code for a in answers) == [200, 412]


async def test_who_may_not_change_a_patient_does_not(api: Api):
    path = f"/v1/patients/{api.people.patient_id}"
    for who, status in {"adams": 403, "baker": 404, "patient": 403, "compliance": 404}.items():
        answer = await api.patch(getattr(api.people, who), path, {"phone": None}, "*")
        assert answer.status_code == status, who


async def test_a_hidden_patient_and_an_absent_one_are_changed_alike(api: Api):
    for patient in (api.people.patient_id, new_id()):
        answer = await api.patch(api.people.baker, f"/v1/patients/{patient}", {"x": 1}, 'W/"9"')
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


BROKEN = [
    ({"id": "x"}, "/id"),
    ({"version": 9}, "/version"),
    ({"nickname": "x"}, "/nickname"),
    ({"nickname": None}, "/nickname"),
    ({"name": {"middle": "x"}}, "/name/middle"),
    ({"name": None}, "/name"),
    ({"birth_date": "2999-01-01"}, "/birth_date"),
    ({"phone": "extension 9"}, "/phone"),
    ({"email": "a@b@c"}, "/email"),
    ({"other_phones": [{"value": "no number"}]}, "/other_phones/0/value"),
    ({"emergency_contacts": [{"name": "x", "phone": "x"}]}, "/emergency_contacts/0/phone"),
    ({"deceased": "1950-01-01"}, "/deceased"),
    ({"name": {"family": "B\x00"}}, "/name/family"),
    ({"language": "english please"}, "/language"),
    ({"preferred_doctor_id": "0190a1b2-0000-7000-8000-000000000000"}, "/preferred_doctor_id"),
    (
        {"identifiers": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9434765918"}]},
        "/identifiers/0/value",
    ),
    (
        {"identifiers": [{"system": "http://hl7.org/fhir/sid/us-ssn", "value": "000-12-3456"}]},
        "/identifiers/0/value",
    ),
    (
        {"identifiers": [{"system": "urn:card", "value": "7", "valid_from": 0}]},
        "/identifiers/0/valid_from",
    ),
    (
        {"identifiers": [{"system": "urn:clinic:card#luhn", "value": "79927398710"}]},
        "/identifiers/0/value",
    ),
]


async def test_a_change_that_breaks_a_rule_is_refused_and_not_quoted(api: Api, path: str):
    for change, pointer in BROKEN:
        answer = await api.patch(api.people.reception, path, change, 'W/"1"')
        assert answer.status_code == 422
        assert [e["pointer"] for e in answer.json()["errors"]] == [pointer]
    assert (await api.get(api.people.reception, path)).headers["etag"] == 'W/"1"'


def test_somebody_born_today_is_born_on_the_clinics_day_and_not_on_greenwichs(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("CONFIDE_TIME_ZONE", "Pacific/Auckland")
    settings.cache_clear()
    with time_machine.travel("2026-11-26T20:00:00Z", tick=False):
        days = (date(2026, 11, 27), date(2026, 11, 28), date(1849, 12, 31))
        assert [born(day) for day in days] == [True, False, False]
    settings.cache_clear()


async def test_a_patch_is_json(api: Api, path: str):
    for kind, status in (("text/plain", 415), ("application/json", 400)):
        headers = await api.bearer(api.people.reception) | {"Content-Type": kind, "If-Match": "*"}
        answer = await api.http.patch(path, headers=headers, content=b"{")
        assert answer.status_code == status


async def test_a_patch_changes_what_it_names_and_nothing_else(api: Api, path: str):
    reception, before = api.people.reception, (await api.get(api.people.reception, path)).json()
    doctor = str(api.people.adams.subject.doctor_id)
    change = {
        "name": {"given": "Ottilie"},
        "email": None,
        "language": "cy",
        "deceased": "2021-05-06",
        "active": False,
        "preferred_doctor_id": doctor,
        "other_names": [{"family": "Gorse", "given": "Ottoline", "use": "maiden"}],
        "other_phones": [{"value": "+44 20 7946 0993", "use": "work"}],
    }
    answer = await api.patch(reception, path, change, 'W/"1"')
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    after = (await api.get(reception, path)).json()
    assert {**answer.json(), "updated_at": None} == {**after, "updated_at": None}
    expected = {**before, **change, "name": {**before["name"], "given": "Ottilie"}, "version": 2}
    assert {**after, "updated_at": before["updated_at"]} == expected


async def test_a_merge_patch_has_a_media_type_of_its_own(api: Api, path: str):
    headers = await api.bearer(api.people.reception)
    headers |= {"Content-Type": "application/merge-patch+json", "If-Match": 'W/"1"'}
    answer = await api.http.patch(path, headers=headers, content=b'{"language": "de"}')
    assert answer.json()["language"] == "de"


async def test_identifiers_are_replaced_as_a_whole_and_freed_for_others(api: Api, path: str):
    reception, mrn = api.people.reception, PATIENT["identifiers"][0]
    other = {"system": "urn:passports", "value": "P1", "type": "PPN", "use": "official"}
    answer = await api.patch(reception, path, {"identifiers": [other]}, 'W/"1"')
    assert answer.json()["identifiers"] == [other]
    found = await api.post(reception, "/v1/patients/search", {"identifier": mrn["value"]})
    assert found.json()["items"] == []
    assert (await api.post(reception, "/v1/patients", PATIENT)).status_code == 201
    taken = await api.patch(reception, path, {"identifiers": [mrn]}, 'W/"2"')
    assert (taken.status_code, taken.json()["code"]) == (409, "identifier-taken")


async def test_every_version_stays_readable_with_who_wrote_it(api: Api, path: str):
    reception = api.people.reception
    await api.patch(reception, path, {"phone": "+44 20 7946 0995"}, 'W/"1"')
    listed = (await api.get(reception, f"{path}/versions")).json()["items"]
    assert [v["number"] for v in listed] == [2, 1]
    assert {v["author_id"] for v in listed} == {str(reception.subject.id)}
    first = (await api.get(reception, f"{path}/versions/1")).json()
    assert first["patient"]["phone"] == PATIENT["phone"]
    assert first["patient"]["identifiers"] == PATIENT["identifiers"]
    assert (await api.get(reception, f"{path}/versions/3")).status_code == 404
    for tail in ("versions", "versions/1"):
        assert (await api.get(api.people.baker, f"{path}/{tail}")).status_code == 404


async def test_history_is_not_rewritten_by_the_application(database_url: str):
    connection = await asyncpg.connect(database_url, server_settings={"role": "confide_app"})
    for statement in ("UPDATE patient_version SET number = 9", "DELETE FROM patient_version"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.close()
