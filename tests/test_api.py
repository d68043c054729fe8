"""The contract over HTTP: what is answered to whom, and what no answer gives away."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from core.clock import now
from core.ids import new_id
from tests.apis import Api, serve

PATIENT = {
    "name": {"family": "Thistlewood", "given": ["Ottoline", "May"]},
    "birth_date": "1988-11-02",
    "sex": "female",
    "phone": "+44 20 7946 0991",
    "email": "ottoline@thistlewood.example",
    "address": {"line": ["12 Gorse Lane"], "city": "Wexcombe"},
    "identifiers": [{"system": "http://clinic.example/mrn", "value": "MRN-9", "type": "MR"}],
    "emergency_contacts": [{"name": "Barnaby Thistlewood", "phone": "+44 20 7946 0992"}],
}
VOLATILE = {"x-request-id", "date"}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def test_without_a_token_there_is_nothing(api: Api):
    for path in [
        "/v1/me",
        "/v1/patients",
        "/v1/doctors",
        "/v1/appointments",
        f"/v1/records/{UUID(int=7)}",
        "/v1/audit/events",
    ]:
        answer = await api.http.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Bearer"), path
        assert answer.json()["code"] == "missing-token", path


async def test_a_hidden_record_answers_exactly_like_an_absent_one(api: Api):
    hidden = await api.get(api.people.baker, f"/v1/records/{api.people.record.id}")
    absent = await api.get(api.people.baker, f"/v1/records/{new_id()}")
    assert hidden.status_code == absent.status_code == 404
    assert _still(hidden) == _still(absent)


async def test_a_hidden_patient_answers_exactly_like_an_absent_one(api: Api):
    for tail in ("", "/records", "/coverages", "/appointments"):
        hidden = await api.get(api.people.baker, f"/v1/patients/{api.people.patient_id}{tail}")
        absent = await api.get(api.people.baker, f"/v1/patients/{new_id()}{tail}")
        assert hidden.status_code == absent.status_code == 404
        assert _still(hidden) == _still(absent)


def _still(answer):
    """Return what stays of an answer without the ids of this one request."""
    body = {k: v for k, v in answer.json().items() if k not in ("instance", "request_id")}
    return body, {k: v for k, v in answer.headers.items() if k not in VOLATILE}


async def test_only_compliance_reads_the_trail(api: Api):
    for who in ("adams", "reception", "nurse", "admin", "patient"):
        assert (await api.get(getattr(api.people, who), "/v1/audit/events")).status_code == 403
    assert (await api.get(api.people.compliance, "/v1/audit/events")).status_code == 200


async def test_a_refused_body_is_never_quoted(api: Api):
    secret = "Xylophonia Zugzwang"
    body = PATIENT | {"birth_date": secret, "nickname": secret, "sex": secret}
    answer = await api.post(api.people.reception, "/v1/patients", body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert {e["pointer"] for e in answer.json()["errors"]} == {"/birth_date", "/nickname", "/sex"}
    assert secret not in answer.text


async def test_a_body_that_is_no_object_is_a_problem(api: Api):
    for content, status in [(b"{", 400), (b"[]", 422), (b'"x"', 422), (b"", 422), (b"\xff", 400)]:
        headers = await api.bearer(api.people.reception) | {"Content-Type": "application/json"}
        answer = await api.http.post("/v1/patients", headers=headers, content=content)
        assert answer.status_code == status, content
        assert answer.headers["content-type"] == "application/problem+json", content


async def test_a_body_past_the_limit_is_refused(api: Api):
    headers = await api.bearer(api.people.reception) | {"Content-Type": "application/json"}
    answer = await api.http.post("/v1/patients", headers=headers, content=b" " * (1 << 21))
    assert answer.status_code == 413


async def test_a_bad_parameter_is_a_bad_request(api: Api):
    for query in ["limit=0", "limit=101", "limit=x", "cursor=!", "cursor=AAAA"]:
        answer = await api.get(api.people.reception, f"/v1/patients?{query}")
        assert answer.status_code == 400, query
        assert answer.headers["content-type"] == "application/problem+json", query


async def test_a_patient_is_registered_read_and_found(api: Api):
    made = await api.post(api.people.reception, "/v1/patients", PATIENT)
    assert made.status_code == 201
    read = await api.get(api.people.reception, made.headers["location"])
    for field, value in PATIENT.items():
        assert read.json()[field] == value
    assert read.headers["etag"] == 'W/"1"'
    for identifier in ("MRN-9", {"system": "http://clinic.example/mrn", "value": "mrn9"}):
        found = await api.post(
            api.people.reception, "/v1/patients/search", {"identifier": identifier}
        )
        assert [p["id"] for p in found.json()["items"]] == [made.json()["id"]]


async def test_an_identifier_names_one_patient_only(api: Api):
    await api.post(api.people.reception, "/v1/patients", PATIENT)
    again = await api.post(api.people.reception, "/v1/patients", PATIENT)
    assert (again.status_code, again.json()["code"]) == (409, "identifier-taken")


async def test_compliance_may_not_register_patients(api: Api):
    answer = await api.post(api.people.compliance, "/v1/patients", PATIENT)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_record_is_written_and_read_by_its_author(api: Api):
    people, path = api.people, f"/v1/appointments/{api.people.appointment_id}/records"
    body = {"kind": "diagnosis", "title": "Migraine", "content": {"code": "G43.109"}}
    made = await api.post(people.adams, path, body)
    assert made.status_code == 201
    read = await api.get(people.adams, made.headers["location"])
    assert read.json() == made.json()
    assert read.json()["content"] == {"code": "G43.109"}
    listed = await api.get(people.adams, f"/v1/patients/{people.patient_id}/records?limit=1")
    assert [r["id"] for r in listed.json()["items"]] == [made.json()["id"]]
    rest = await api.get(
        people.adams,
        f"/v1/patients/{people.patient_id}/records?cursor={listed.json()['next_cursor']}",
    )
    assert [r["id"] for r in rest.json()["items"]] == [str(people.record.id)]
    assert rest.json()["next_cursor"] is None


async def test_nobody_writes_about_a_visit_that_is_not_theirs_to_see(api: Api):
    body = {"kind": "note", "title": "x", "content": "y"}
    for visit in (api.people.appointment_id, new_id()):
        answer = await api.post(api.people.baker, f"/v1/appointments/{visit}/records", body)
        assert answer.status_code == 404


async def test_a_taken_slot_is_a_conflict_for_doctor_and_patient_alike(api: Api):
    people = api.people
    visit = (await api.get(people.adams, f"/v1/appointments/{people.appointment_id}")).json()
    other = (await api.post(people.reception, "/v1/patients", PATIENT)).json()["id"]
    same_doctor = {"patient_id": other, "doctor_id": visit["doctor_id"], "start": visit["start"]}
    baker = str(people.baker.subject.doctor_id)
    same_patient = {"patient_id": visit["patient_id"], "doctor_id": baker, "start": visit["start"]}
    for body in (same_doctor, same_patient):
        answer = await api.post(people.reception, "/v1/appointments", body)
        assert (answer.status_code, answer.json()["code"]) == (409, "slot-taken")


async def test_a_visit_right_after_another_is_no_conflict(api: Api):
    people = api.people
    visit = (await api.get(people.adams, f"/v1/appointments/{people.appointment_id}")).json()
    body = {k: visit[k] for k in ("patient_id", "doctor_id")} | {"start": visit["end"]}
    assert (await api.post(people.reception, "/v1/appointments", body)).status_code == 201


async def test_a_visit_in_the_past_is_not_booked(api: Api):
    people = api.people
    start = (now() - timedelta(hours=1)).isoformat()
    body = {
        "patient_id": str(people.patient_id),
        "doctor_id": str(people.adams.subject.doctor_id),
        "start": start,
    }
    answer = await api.post(people.reception, "/v1/appointments", body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "past")


@pytest.mark.parametrize("doctor", ["adams", "baker"])
async def test_a_doctor_may_not_book_for_a_patient_out_of_sight(api: Api, doctor: str):
    baker, patient = api.people.baker, f"/v1/patients/{api.people.patient_id}"
    body = {
        "patient_id": str(api.people.patient_id),
        "doctor_id": str(getattr(api.people, doctor).subject.doctor_id),
        "start": (now() + timedelta(days=3)).isoformat(),
    }
    for path in ("/v1/appointments", "/v1/holds"):
        hidden = await api.post(baker, path, body)
        absent = await api.post(baker, path, body | {"patient_id": str(new_id())})
        assert hidden.status_code == absent.status_code == 404
        assert _still(hidden) == _still(absent)
    assert (await api.get(baker, patient)).status_code == 404


async def test_swapped_ciphertexts_are_a_clear_error_without_a_word_of_either(
    api: Api, database_url: str
):
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE record_version SET content = title")
    await connection.close()
    answer = await api.get(api.people.adams, f"/v1/records/{api.people.record.id}")
    assert (answer.status_code, answer.json()["code"]) == (500, "integrity")
    assert "Megrims" not in answer.text


async def test_a_dead_database_is_a_clear_503(api: Api, database_url: str):
    bearer = await api.bearer(api.people.adams)
    path = f"/v1/records/{api.people.record.id}"
    assert (await api.http.get(path, headers=bearer)).status_code == 200
    name = database_url.rpartition("/")[2]
    admin = await asyncpg.connect(database_url.replace(name, "postgres"))
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
    )
    answers = [await api.http.get(path, headers=bearer) for _ in range(3)]
    ready = await api.http.get("/readyz")
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await admin.close()
    assert {a.status_code for a in answers} == {503}
    assert all("retry-after" in a.headers for a in answers)
    assert (ready.status_code, ready.json()["parts"]["database"]) == (503, "unavailable")
    assert (await api.http.get(path, headers=bearer)).status_code == 200


async def test_the_machines_pages_need_no_login(api: Api):
    assert (await api.http.get("/healthz")).status_code == 200
    assert (await api.http.get("/readyz")).json()["parts"]["policy"] == "ok"
    metrics = (await api.http.get("/metrics")).text
    assert "confide_requests_total" in metrics
    assert (await api.http.get("/")).headers["location"] == "/docs"


async def test_metrics_name_routes_and_never_an_id(api: Api):
    path = f"/v1/records/{api.people.record.id}"
    await api.get(api.people.adams, path)
    metrics = (await api.http.get("/metrics")).text
    assert 'route="/v1/records/{record_id}"' in metrics
    assert str(api.people.record.id) not in metrics


async def test_no_answer_is_to_be_kept_by_a_cache(api: Api):
    answer = await api.get(api.people.adams, f"/v1/records/{api.people.record.id}")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_text_that_no_database_can_hold_is_refused_and_not_an_error_of_ours(api: Api):
    doctor = {"family": "Nul", "given": "Test", "bio": "\u0000"}
    answer = await api.post(api.people.admin, "/v1/doctors", doctor)
    assert (answer.status_code, answer.json()["code"]) == (422, "value-not-storable")


async def test_a_number_that_readers_would_differ_about_is_refused(api: Api):
    note = {"kind": "note", "title": "x", "content": {"text": "x", "count": 2**60}}
    where = f"/v1/appointments/{api.people.appointment_id}/records"
    answer = await api.post(api.people.adams, where, note)
    assert answer.status_code == 422


async def test_every_role_gets_an_answer_to_every_list(api: Api):
    for who in ["adams", "nurse", "reception", "patient", "compliance", "admin"]:
        me = getattr(api.people, who)
        for where in ("patients", "appointments", "doctors", "waitlist", "services", "locations"):
            answer = await api.get(me, f"/v1/{where}")
            assert answer.status_code in {200, 403}, where
        if (await api.get(me, f"/v1/patients/{api.people.patient_id}")).status_code == 200:
            records = await api.get(me, f"/v1/patients/{api.people.patient_id}/records")
            assert records.status_code == 200, who
