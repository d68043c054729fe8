"""What those who check make of the trail: exports with proofs, reports to patients, alerts with a review."""

import csv
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from io import StringIO
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from core.clock import now
from core.ids import new_id
from core.settings import settings
from core.transparency.notes import Key
from core.transparency.proofs import Proof
from policies.facts import Subject
from policies.vocabulary import Outcome, ResourceType, Role
from records.audit.balp import audit_event
from records.audit.event import Event, Origin, Stamp
from records.audit.ledger import store as ledger_store
from records.audit.log_key import VERIFIER_KEY
from records.audit.troubles import gauges
from records.audit.verifier import bundle
from records.audit.verifier.findings import Kind, Verdict
from records.clinic import ROLE
from records.compliance.alerts import look
from records.compliance.exports import gather
from records.compliance.models import EXCLUDED
from records.people.registration import register
from tests.apis import Api, serve
from tests.clinics import DETAILS, me_as
from tests.sealing import as_superuser, drain, event, event_at, filled, role, seal, store

V1 = "/v1/audit"
SHIFT = """INSERT INTO schedule (id, doctor_id, weekday, start_time, end_time, time_zone, valid_from, slot_minutes,
 version)
VALUES ($1, $2, $3, '10:00', '14:00', 'UTC', '2020-01-01', 30, 1)"""


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def test_events_are_found_by_the_request_that_made_them(api: Api, database_url: str):
    read = await api.get(api.people.adams, f"/v1/records/{api.people.record.id}")
    await drain(database_url)
    asked = f"{V1}/events?request_id={read.headers['X-Request-Id']}"
    (found,) = (await api.get(api.people.compliance, asked)).json()["items"]
    assert (found["action"], found["resource_id"]) == ("read", str(api.people.record.id))
    narrower = asked + f"&actor={api.people.adams.subject.id}&outcome=deny"
    assert (await api.get(api.people.compliance, narrower)).json()["items"] == []


async def report(api: Api, me: Any, query: str = "") -> Any:
    path = f"/v1/patients/{api.people.patient_id}/access-report{query}"
    return await api.get(me, path)


async def test_a_patient_sees_who_saw_their_record_and_can_prove_it(
    api: Api, database_url: str, tmp_path: Path
):
    await api.get(api.people.adams, f"/v1/records/{api.people.record.id}")
    await api.get(api.people.baker, f"/v1/records/{api.people.record.id}")
    await drain(database_url)
    await seal(database_url, tmp_path)
    seen = (await report(api, api.people.patient)).json()
    assert seen["items"][0]["actor_name"] == "Test Adams"
    assert seen["items"][0]["resource_ids"] == [str(api.people.record.id)]
    assert {i["outcome"] for i in seen["items"]} == {"allow"}
    adams = next(s for s in seen["summary"] if s["actor_name"] == "Test Adams")
    assert adams["times"] == sum(i["actor_name"] == "Test Adams" for i in seen["items"])
    key = Key.parse((tmp_path / VERIFIER_KEY).read_text())
    for item in seen["items"]:
        path = f"/v1/patients/{api.people.patient_id}/access-report/{item['event_id']}/proof"
        proof = Proof.parse((await api.get(api.people.patient, path)).text)
        assert proof.index == item["leaf_index"]
        assert proof.holds(item["entry"].encode(), key)
    everything = (await report(api, api.people.compliance, "?refused=true&limit=100")).json()
    assert "Test Baker" in {i["actor_name"] for i in everything["items"]}


async def test_an_access_report_is_for_the_patient_and_compliance_alone(api: Api):
    for who in (api.people.adams, api.people.nurse, api.people.reception, api.people.admin):
        assert (await report(api, who)).status_code == 404
    foreign = await api.get(api.people.patient, f"/v1/patients/{new_id()}/access-report")
    assert foreign.status_code == 404
    assert (await api.get(api.people.patient, f"{V1}/events")).status_code == 403


async def test_another_patients_act_has_no_proof_in_ones_report(
    api: Api, database_url: str, tmp_path: Path
):
    (foreign,) = await filled(database_url, tmp_path, 1)
    path = f"/v1/patients/{api.people.patient_id}/access-report/{foreign.id}/proof"
    assert (await api.get(api.people.patient, path)).status_code == 404


async def exported(api: Api, url: str, home: Path, wanted: dict[str, Any]) -> str:
    await drain(url)
    await seal(url, home)
    me = api.people.compliance
    asked = await api.post(me, f"{V1}/exports", wanted)
    assert asked.status_code == 202
    where = asked.headers["Location"]
    assert asked.headers["Content-Location"] == where
    assert (await api.get(me, where)).status_code == 202
    assert (await api.get(me, f"{where}/file")).status_code == 409
    async with role(url, ROLE) as database:  # with as few connections as a chore has
        await gather(database)
    answer = await api.get(me, where)
    done = answer.json()
    gone = parsedate_to_datetime(answer.headers["Expires"])
    assert gone == datetime.fromisoformat(done["expires_at"]).replace(microsecond=0)
    assert done["state"] == "done"
    assert done["done"] == done["total"] > 0
    assert set(done["files"]) == {"ndjson", "csv", "bundle"}
    return where


async def test_an_export_holds_what_was_asked_for_and_proves_it(
    api: Api, database_url: str, tmp_path: Path
):
    wanted = {"patient": str(api.people.patient_id), "from": "2020-01-01T00:00:00Z"}
    where = await exported(api, database_url, tmp_path, wanted)
    me = api.people.compliance
    lines = (await api.get(me, f"{where}/file")).text.splitlines()
    assert {json.loads(line)["patient"] for line in lines} == {str(api.people.patient_id)}
    tar = tmp_path / "export.tar"
    tar.write_bytes((await api.get(me, f"{where}/file?form=bundle")).content)
    report = bundle.verify(tar)
    assert (report.verdict, report.size) == (Verdict.GOOD, len(lines))
    tar.write_bytes(
        tar.read_bytes().replace(b'\\"outcome\\":\\"allow\\"', b'\\"outcome\\":\\"error\\"', 1)
    )
    first = bundle.verify(tar).first()
    assert first
    assert first.kind is Kind.PROOF


async def test_no_cell_of_a_csv_is_a_formula(api: Api, database_url: str, tmp_path: Path):
    evil = event(origin=Origin("=cmd|' /C calc'!A0", "@SUM(1)"))
    await store(database_url, evil)
    where = await exported(api, database_url, tmp_path, {"request_id": "@SUM(1)"})
    text = (await api.get(api.people.compliance, f"{where}/file?form=csv")).text
    (row,) = csv.DictReader(StringIO(text))
    assert row["id"] == str(evil.id)
    assert row["endpoint"].startswith("'=")
    assert row["request_id"].startswith("'@")


async def test_an_export_is_gone_after_a_day(api: Api, database_url: str, tmp_path: Path):
    where = await exported(api, database_url, tmp_path, {})
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE audit.export SET expires_at = now() - interval '1 second'")
    assert (await api.get(api.people.compliance, f"{where}/file")).status_code == 404
    await gather(api.clinic.database)
    assert await connection.fetchval("SELECT count(*) FROM audit.export_part") == 0
    await connection.close()


async def test_an_export_that_cannot_be_proved_has_failed_and_keeps_none_waiting(
    api: Api, database_url: str, tmp_path: Path
):
    await filled(database_url, tmp_path, 3)
    me = api.people.compliance
    asked = [(await api.post(me, f"{V1}/exports", {})).headers["Location"] for _ in range(2)]
    await as_superuser(database_url, "DELETE FROM audit.leaf WHERE leaf_index = 0")
    await gather(api.clinic.database)
    states = [(await api.get(me, where)) for where in asked]
    assert [(a.status_code, a.json()["state"]) for a in states] == [(200, "failed")] * 2
    assert (await api.get(me, f"{asked[0]}/file")).status_code == 409


async def test_exports_and_alerts_are_for_compliance_alone(api: Api):
    for who in (api.people.adams, api.people.admin, api.people.patient):
        assert (await api.post(who, f"{V1}/exports", {})).status_code == 403
        assert (await api.get(who, f"{V1}/exports/{new_id()}")).status_code == 403
        assert (await api.get(who, f"{V1}/alerts")).status_code == 403


def by(me: Any, **changes: Any) -> Event:
    defaults = {"actor": me.subject.id, "roles": tuple(me.subject.roles)}
    return event(**(defaults | changes))


async def alerts(api: Api, url: str, rule: str, *events: Event) -> list[dict[str, Any]]:
    await store(url, *events)
    await look(api.clinic.database)
    await look(api.clinic.database)
    answer = await api.get(api.people.compliance, f"{V1}/alerts?rule={rule}")
    return list(answer.json()["items"])


async def test_r1_reading_without_a_treatment_relation(api: Api, database_url: str):
    patient = api.people.patient_id
    strange = by(api.people.baker, patient=patient)
    (found,) = await alerts(api, database_url, "R1", strange, by(api.people.adams, patient=patient))
    assert (found["actor"], found["events"]) == (
        str(api.people.baker.subject.id),
        [str(strange.id)],
    )
    assert (found["patient"], found["count"], found["state"]) == (str(patient), 1, "open")


async def test_r1_asks_who_treated_within_the_time_that_the_clinic_has_set(
    api: Api, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    patient, baker = api.people.patient_id, api.people.baker
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO care_team (id, patient_id, doctor_id, valid_from, valid_until)"
        " VALUES ($1, $2, $3, now() - interval '200 days', now() - interval '100 days')",
        new_id(), patient, baker.subject.doctor_id,
    )  # fmt: skip
    await connection.close()
    monkeypatch.setenv("CONFIDE_TREATMENT_DAYS", "120")
    settings.cache_clear()
    assert await alerts(api, database_url, "R1", by(baker, patient=patient)) == []
    monkeypatch.undo()
    settings.cache_clear()
    assert len(await alerts(api, database_url, "R1")) == 1


async def test_r2_reading_the_data_of_ones_own_household(api: Api, database_url: str):
    me = api.people.reception
    async with api.clinic.database.transaction() as session:
        chart = await register(session, api.clinic, me, replace(DETAILS, email=None), [])
        other = replace(DETAILS, phone="+1 555 010 9911", email="other@example.org")
        stranger = await register(session, api.clinic, me, other, [])
    await _is_patient(database_url, me.subject.id, chart.patient_id)
    family = by(me, patient=api.people.patient_id)
    (found,) = await alerts(api, database_url, "R2", family, by(me, patient=stranger.patient_id))
    assert found["events"] == [str(family.id)]


async def test_r3_reading_the_data_of_a_colleague(api: Api, database_url: str):
    await _is_patient(database_url, api.people.nurse.subject.id, api.people.patient_id)
    read = by(api.people.adams, patient=api.people.patient_id)
    (found,) = await alerts(api, database_url, "R3", read)
    assert found["events"] == [str(read.id)]


async def _is_patient(url: str, account: Any, patient: Any) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE account SET patient_id = $2 WHERE id = $1", account, patient)
    await connection.close()


async def test_r5_reading_more_than_sixty_patients_in_an_hour(api: Api, database_url: str):
    hour = now().replace(minute=0, second=0, microsecond=0)
    at = {"occurred_at": hour}
    few = [by(api.people.nurse, **at) for _ in range(60)]
    many = [by(api.people.baker, **at) for _ in range(61)]
    (found,) = await alerts(api, database_url, "R5", *few, *many)
    assert (found["actor"], found["count"]) == (str(api.people.baker.subject.id), 61)


async def test_r7_reading_records_far_outside_working_hours(api: Api, database_url: str):
    doctor = api.people.baker.subject.doctor_id
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM schedule")
    for day in range(1, 8):
        await connection.execute(SHIFT, new_id(), doctor, day)
    await connection.close()
    yesterday = (now() - timedelta(days=1)).date()
    night, day = (datetime.combine(yesterday, time(h), UTC) for h in (23, 12))
    late = by(api.people.baker, occurred_at=night)
    (found,) = await alerts(api, database_url, "R7", late, by(api.people.baker, occurred_at=day))
    assert found["events"] == [str(late.id)]


async def test_r10_reading_a_patient_who_left_long_ago(api: Api, database_url: str):
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE patient SET active = false, updated_at = now() - interval '31 days'"
    )
    await connection.close()
    read = by(api.people.adams, patient=api.people.patient_id)
    (found,) = await alerts(api, database_url, "R10", read, by(api.people.adams))
    assert found["events"] == [str(read.id)]


async def test_r11_acting_with_a_login_that_has_ended(api: Api, database_url: str):
    await api.bearer(api.people.adams)
    connection = await asyncpg.connect(database_url)
    ended = await connection.fetchval(
        "UPDATE oauth_session SET revoked_at = now() - interval '1 minute' RETURNING id"
    )
    await connection.close()
    used = by(api.people.adams, session=ended)
    (found,) = await alerts(api, database_url, "R11", used, by(api.people.adams))
    assert found["events"] == [str(used.id)]


async def test_r8_being_refused_twenty_times_in_five_minutes(api: Api, database_url: str):
    start = now().replace(minute=10, second=0, microsecond=0)
    slow = [
        by(api.people.nurse, outcome=Outcome.DENY, occurred_at=start + timedelta(seconds=20 * i))
        for i in range(20)
    ]
    fast = [
        by(api.people.baker, outcome=Outcome.DENY, occurred_at=start + timedelta(seconds=15 * i))
        for i in range(20)
    ]
    (found,) = await alerts(api, database_url, "R8", *slow, *fast)
    assert found["actor"] == str(api.people.baker.subject.id)
    assert set(found["events"]) == {str(e.id) for e in fast}


async def test_r9_searching_much_and_opening_little(api: Api, database_url: str):
    searches = [
        by(api.people.reception, action="search", resource_type=ResourceType.PATIENT)
        for _ in range(16)
    ]
    fine = [by(api.people.nurse, action="search") for _ in range(15)]
    (found,) = await alerts(api, database_url, "R9", *searches, *fine)
    assert (found["actor"], found["count"]) == (str(api.people.reception.subject.id), 16)


async def test_r12_reading_ones_own_chart_or_patients_as_an_administrator(
    api: Api, database_url: str
):
    await _is_patient(database_url, api.people.nurse.subject.id, api.people.patient_id)
    own = by(api.people.nurse, patient=api.people.patient_id)
    admin = by(api.people.admin)
    found = await alerts(api, database_url, "R12", own, admin, by(api.people.baker))
    assert {a["events"][0] for a in found} == {str(own.id), str(admin.id)}


async def test_r13_missing_numbers_and_refused_batches(api: Api, database_url: str):
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO audit.gap VALUES (gen_random_uuid(), 3, 4, now(), NULL);"
        "INSERT INTO audit.quarantine VALUES (gen_random_uuid(), 'forged', 7, '', '', now())"
    )
    await connection.close()
    found = await alerts(api, database_url, "R13")
    assert sorted(a["count"] for a in found) == [2, 7]
    told = await gauges(api.clinic.database)
    assert (told["quarantined"], told["missing"]) == (1, 2)
    review = {"resolution": "fixed", "reason": "A killed process, and a garbled message"}
    for alert in found:
        path = f"{V1}/alerts/{alert['id']}/resolve"
        done = await api.post(api.people.compliance, path, review)
        assert done.status_code == 200, done.text
    told = await gauges(api.clinic.database)
    assert (told["quarantined"], told["missing"]) == (0, 0)


async def test_an_ordinary_day_raises_no_alert(api: Api, database_url: str):
    await api.get(api.people.adams, f"/v1/records/{api.people.record.id}")
    await api.get(api.people.patient, f"/v1/records/{api.people.record.id}")
    await api.get(api.people.reception, "/v1/patients")
    await drain(database_url)
    await look(api.clinic.database)
    found = await api.get(api.people.compliance, f"{V1}/alerts")
    assert found.json()["items"] == []


async def test_an_alert_is_assigned_and_resolved_once_with_a_reason(api: Api, database_url: str):
    (alert,) = await alerts(
        api, database_url, "R1", by(api.people.baker, patient=api.people.patient_id)
    )
    me, path = api.people.compliance, f"{V1}/alerts/{alert['id']}"
    taken = (await api.post(me, f"{path}/assign", {})).json()
    assert (taken["state"], taken["assignee"]) == ("assigned", str(me.subject.id))
    assert (await api.post(me, f"{path}/resolve", {"resolution": "justified"})).status_code == 422
    review = {"resolution": "violation", "reason": "no order, no referral"}
    assert (await api.post(me, f"{path}/resolve", review)).json()["state"] == "resolved"
    again = await api.post(me, f"{path}/resolve", review)
    assert (again.status_code, again.json()["code"]) == (409, "alert-resolved")
    await look(api.clinic.database)
    assert (await api.get(me, path)).json()["resolution"] == "violation"
    await drain(database_url)
    acts = await api.get(me, f"{V1}/events?resource_id={alert['id']}&action=update")
    assert len(acts.json()["items"]) == 2  # what came too late rolled back, event and all


async def test_nobody_reviews_an_alert_about_themselves(api: Api, database_url: str):
    me = api.people.compliance
    (alert,) = await alerts(
        api, database_url, "R8", *(by(me, outcome=Outcome.DENY) for _ in range(20))
    )
    answer = await api.post(me, f"{V1}/alerts/{alert['id']}/assign", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "own-alert")


FAX = {
    "purpose": "public-health",
    "disclosed_at": "2026-03-01T10:00:00Z",
    "recipient": {"name": "=County Health Office", "address": "9 Quarry Lane"},
    "description": "Notification of a tick bite with fever",
}


async def told(api: Api, me: Any, query: str = "") -> Any:
    return await api.get(me, f"/v1/patients/{api.people.patient_id}/disclosures{query}")


async def disclose(api: Api, **changes: Any) -> Any:
    path = f"/v1/patients/{api.people.patient_id}/disclosures"
    return await api.post(api.people.compliance, path, FAX | changes)


async def test_disclosures_are_for_the_patient_and_compliance_alone(api: Api):
    for who in (api.people.adams, api.people.nurse, api.people.reception, api.people.admin):
        assert (await told(api, who)).status_code == 404
        path = f"/v1/patients/{api.people.patient_id}/disclosures"
        assert (await api.post(who, path, FAX)).status_code == 404
    missing = f"/v1/patients/{new_id()}/disclosures"
    assert (await api.get(api.people.compliance, missing)).status_code == 404
    assert (await api.post(api.people.compliance, missing, FAX)).status_code == 404


async def test_repeated_disclosures_are_summed_up_and_nothing_older_than_six_years_is_told(
    api: Api,
):
    days = (10, 20, 40)
    for day in days:
        at = (now() - timedelta(days=day)).isoformat()
        assert (await disclose(api, disclosed_at=at)).status_code == 201
    old = (now() - timedelta(days=6 * 366 + 2)).isoformat()
    assert (await disclose(api, disclosed_at=old)).status_code == 201
    assert (
        await disclose(api, disclosed_at=(now() + timedelta(days=1)).isoformat())
    ).status_code == 422
    found = (await told(api, api.people.patient)).json()
    assert len(found["items"]) == 3
    assert found["items"][0]["recipient"] == FAX["recipient"]
    (line,) = found["summary"]
    assert (line["times"], line["recipient"]) == (3, "=County Health Office")
    since = (now() - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert len((await told(api, api.people.patient, f"?from={since}")).json()["items"]) == 2


async def test_a_suspended_disclosure_is_kept_from_the_patient_until_the_time_is_over(api: Api):
    later = (now() + timedelta(days=30)).isoformat()
    await disclose(api, purpose="law-enforcement", suspended_until=later)
    assert (await told(api, api.people.patient)).json()["items"] == []
    (kept,) = (await told(api, api.people.compliance)).json()["items"]
    assert kept["purpose"] == "law-enforcement"


async def test_an_accounting_comes_as_csv_and_as_pdf(api: Api):
    await disclose(api)
    (row,) = csv.DictReader(StringIO((await told(api, api.people.patient, "?form=csv")).text))
    assert row["recipient"] == "'=County Health Office"
    pdf = await told(api, api.people.patient, "?form=pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF-")


async def test_each_line_of_an_accounting_is_proved_without_a_server(
    api: Api, database_url: str, tmp_path: Path
):
    await disclose(api)
    await disclose(api, purpose="research")
    unsealed = (await told(api, api.people.patient)).json()["items"]
    assert {line["proof"] for line in unsealed} == {None}
    await drain(database_url)
    await seal(database_url, tmp_path)
    key = Key.parse((tmp_path / VERIFIER_KEY).read_text())
    lines = (await told(api, api.people.patient)).json()["items"]
    rows = list(csv.DictReader(StringIO((await told(api, api.people.patient, "?form=csv")).text)))
    for line in [*lines, *rows]:
        proof = Proof.parse(line["proof"])
        assert proof.holds(line["entry"].encode(), key)
        assert proof.index == int(line["leaf_index"])
        assert json.loads(line["entry"])["id"] == line["event_id"]
    tar = (await told(api, api.people.patient, "?form=bundle")).content
    (tmp_path / "proofs.tar").write_bytes(tar)
    report = bundle.verify(tmp_path / "proofs.tar", key)
    assert (report.verdict, report.size) == (Verdict.GOOD, 2)
    pdf = (await told(api, api.people.patient, "?form=pdf")).content
    assert b"proofs.tar" in pdf


async def test_an_accounting_leaves_out_what_needs_none(api: Api):
    """45 CFR 164.528(a)(1): care, payment, operations, to the individual, by authorization, limited data sets."""
    for purpose in EXCLUDED:
        assert (await disclose(api, purpose=purpose)).status_code == 201
    await disclose(api)
    (line,) = (await told(api, api.people.patient)).json()["items"]
    assert line["purpose"] == "public-health"
    assert len(EXCLUDED) == 6
    everything = (await told(api, api.people.compliance, "?excluded=true")).json()["items"]
    assert len(everything) == 7


async def test_who_received_a_disclosure_is_sealed(api: Api, database_url: str):
    await disclose(api)
    connection = await asyncpg.connect(database_url)
    row = await connection.fetchrow("SELECT disclosure::text AS text FROM disclosure")
    await connection.close()
    assert b"County".hex() not in row["text"]
    assert b"tick bite".hex() not in row["text"]


async def test_one_event_tells_which_rule_decided_and_how_it_read_then(api: Api, database_url: str):
    read = await api.get(api.people.adams, f"/v1/records/{api.people.record.id}")
    await drain(database_url)
    asked = f"{V1}/events?request_id={read.headers['X-Request-Id']}"
    (found,) = (await api.get(api.people.compliance, asked)).json()["items"]
    one = (await api.get(api.people.compliance, f"{V1}/events/{found['id']}")).json()
    assert one["explanation"]["id"] == one["rule"] == "record-read-doctor"
    assert "r.obj.in_care_team" in one["explanation"]["condition"]
    (fact,) = one["explanation"]["facts"]
    assert "r.obj.in_care_team" in fact
    assert one["explanation"]["version"] == one["policy_version"] == 1
    own = await api.get(api.people.patient, f"/v1/patients/{api.people.patient_id}")
    await drain(database_url)
    asked = f"{V1}/events?request_id={own.headers['X-Request-Id']}"
    (found,) = (await api.get(api.people.compliance, asked)).json()["items"]
    one = (await api.get(api.people.compliance, f"{V1}/events/{found['id']}")).json()
    assert one["explanation"]["facts"] == ["r.obj.patient_id == r.sub.patient_id"]


async def test_an_event_is_rendered_as_a_balp_audit_event(api: Api, database_url: str):
    read = await api.get(api.people.adams, f"/v1/records/{api.people.record.id}")
    await drain(database_url)
    asked = f"{V1}/events?request_id={read.headers['X-Request-Id']}"
    (found,) = (await api.get(api.people.compliance, asked)).json()["items"]
    path = f"{V1}/events/{found['id']}"
    fhir = await api.get(api.people.compliance, f"{path}/fhir")
    me = {**await api.bearer(api.people.compliance), "Accept": "application/fhir+json"}
    assert (await api.http.get(path, headers=me)).json() == fhir.json()
    assert fhir.headers["content-type"] == "application/fhir+json"
    resource = fhir.json()
    assert resource["meta"]["profile"][0].endswith("IHE.BasicAudit.PatientRead")
    assert faults(resource) == []
    assert (
        resource["agent"][0]["type"]["coding"][0]["code"] == "110152"
    )  # a reader is the destination
    patient = f"Patient/{api.people.patient_id}"
    assert patient in [e["what"].get("reference") for e in resource["entity"]]


@pytest.mark.parametrize(
    "action", ["read", "search", "create", "update", "delete", "sign", "login"]
)
@pytest.mark.parametrize("outcome", ["allow", "deny", "error"])
def test_every_kind_of_event_keeps_the_cardinalities_of_the_profile(action: str, outcome: str):
    import orjson

    made = event(action=action, outcome=outcome, reason="absent" if outcome == "deny" else None)
    assert faults(audit_event(orjson.loads(made.body()), "https://clinic.example")) == []


def faults(resource: dict[str, Any]) -> list[str]:
    """Check what IHE BALP 1.1 demands of a basic audit event: what must be there, and how often."""
    one = ("type", "action", "recorded", "outcome", "source")
    found = [f"{name} is missing" for name in one if not resource.get(name)]
    if len(resource["subtype"]) != 1:
        found.append("one subtype")
    codes = [a["type"]["coding"][0]["code"] for a in resource["agent"]]
    machines = [c for c in codes if c in {"110150", "110152", "110153", "custodian"}]
    if len(machines) != 2 or machines[0] == machines[1]:
        found.append("one client and one server")
    if codes.count("IRCP") > 1 or sum(a["requestor"] for a in resource["agent"]) > 1:
        found.append("at most one user")
    if not all("who" in a for a in resource["agent"]):
        found.append("each agent is named")
    entities = [e["type"]["code"] for e in resource["entity"]]
    if entities.count("1") > 1 or entities.count("XrequestId") > 1:
        found.append("at most one patient and one request")
    roles = [e.get("role", {}).get("code") for e in resource["entity"]]
    if resource["action"] == "E" and resource["type"]["code"] == "rest" and roles.count("24") != 1:
        found.append("a query says what was asked")
    return found


async def test_r4_reading_a_patient_whom_compliance_watches(api: Api, database_url: str):
    patient, me = str(api.people.patient_id), api.people.compliance
    body = {"patient_id": patient, "reason": "public-interest"}
    before = by(
        api.people.adams, patient=api.people.patient_id, occurred_at=now() - timedelta(minutes=5)
    )
    assert (await api.post(me, f"{V1}/watched", body)).status_code == 201
    read = by(api.people.adams, patient=api.people.patient_id)
    own = by(api.people.patient, patient=api.people.patient_id)
    (found,) = await alerts(api, database_url, "R4", before, read, own, by(api.people.adams))
    assert found["events"] == [str(read.id)]
    (watched,) = (await api.get(me, f"{V1}/watched")).json()["items"]
    assert (watched["patient_id"], watched["reason"]) == (patient, "public-interest")
    assert (await api.post(me, f"{V1}/watched/{patient}/release", {})).status_code == 204
    assert (await api.get(me, f"{V1}/watched")).json()["items"] == []


async def test_nobody_but_compliance_watches_or_learns_who_is_watched(api: Api):
    body = {"patient_id": str(api.people.patient_id), "reason": "requested"}
    for who in (api.people.adams, api.people.admin, api.people.patient):
        assert (await api.post(who, f"{V1}/watched", body)).status_code in {403, 404}
        assert (await api.get(who, f"{V1}/watched")).status_code == 403
    nobody = body | {"patient_id": str(new_id())}
    assert (await api.post(api.people.compliance, f"{V1}/watched", nobody)).status_code == 404


async def test_r5_reading_far_more_patients_than_ones_peers(api: Api, database_url: str):
    peers = [somebody("nurse") for _ in range(6)]
    usual = [by(peer) for n, peer in enumerate(peers) for _ in range(3 + n % 3)]
    many = [by(api.people.nurse) for _ in range(25)]
    few = [
        by(api.people.reception) for _ in range(25)
    ]  # the only one of the role: nobody to compare with
    (found,) = await alerts(api, database_url, "R5", *usual, *many, *few)
    assert (found["actor"], found["count"]) == (str(api.people.nurse.subject.id), 25)
    assert set(found["events"]) == {str(e.id) for e in many}


def somebody(name: str) -> Any:
    return me_as(Subject(new_id(), frozenset({Role(name)})))


async def test_r6_an_emergency_without_a_grant(api: Api, database_url: str):
    patient, baker = api.people.patient_id, api.people.baker
    body = {"patient_id": str(patient), "reason_code": "ETREAT", "explanation": "unconscious"}
    assert (await api.post(baker, "/v1/break-glass", body)).status_code == 201
    granted = by(baker, patient=patient, break_glass=True)
    bare = by(api.people.nurse, patient=patient, break_glass=True)
    (found,) = await alerts(api, database_url, "R6", granted, bare)
    assert found["events"] == [str(bare.id)]


async def test_r6_an_emergency_that_nobody_has_reviewed_for_a_day(api: Api, database_url: str):
    patient, baker = api.people.patient_id, api.people.baker
    body = {"patient_id": str(patient), "reason_code": "ETREAT", "explanation": "unconscious"}
    assert (await api.post(baker, "/v1/break-glass", body)).status_code == 201
    assert await alerts(api, database_url, "R6") == []
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE break_glass SET granted_at = granted_at - interval '25 hours', expires_at = expires_at - interval '25 hours'"
    )
    await connection.close()
    used = event_at(
        now() - timedelta(hours=24, minutes=30),
        actor=baker.subject.id,
        patient=patient,
        break_glass=True,
    )
    (late,) = await alerts(api, database_url, "R6", used)
    assert (late["actor"], late["events"]) == (str(baker.subject.id), [str(used.id)])


async def test_r13_a_clock_that_is_off(api: Api, database_url: str):
    boot, hour = new_id(), timedelta(hours=1)
    made = [
        event(occurred_at=now() + jump) for jump in (timedelta(0), hour, timedelta(0), timedelta(0))
    ]
    async with role(database_url, "confide_ledger") as database:
        await ledger_store(database, [e.body(Stamp(boot, n)) for n, e in enumerate(made)])
    (found,) = await alerts(api, database_url, "R13")
    assert found["events"] == [str(e.id) for e in made[1:3]]


async def test_a_search_is_saved_used_and_forgotten(api: Api, database_url: str):
    me, path = api.people.compliance, f"{V1}/searches"
    filters = {
        "outcome": "deny",
        "actor": str(api.people.baker.subject.id),
        "from": "2020-01-01T00:00:00Z",
    }
    made = await api.post(me, path, {"name": "refused-baker", "filters": filters})
    assert made.status_code == 201
    assert made.json()["filters"] == filters | {"from": "2020-01-01T00:00:00+00:00"}
    refused = by(api.people.baker, outcome=Outcome.DENY)
    await store(
        database_url, refused, by(api.people.baker), by(api.people.adams, outcome=Outcome.DENY)
    )
    where = made.headers["Location"]
    (found,) = (await api.get(me, f"{where}/events")).json()["items"]
    assert found["id"] == str(refused.id)
    again = await api.post(me, path, {"name": "refused-baker", "filters": {}})
    assert (again.status_code, again.json()["code"]) == (409, "search-name-taken")
    assert [s["name"] for s in (await api.get(me, path)).json()["items"]] == ["refused-baker"]
    tag = (await api.get(me, where)).headers["ETag"]
    bearer = await api.bearer(me)
    for given, status in (({}, 428), ({"If-Match": 'W/"9"'}, 412), ({"If-Match": tag}, 204)):
        assert (await api.http.delete(where, headers=bearer | given)).status_code == status
    assert (await api.get(me, where)).status_code == 404


async def test_the_name_of_a_search_is_a_plain_word(api: Api):
    for name in ["Quillfeather", "two words", "", "x" * 61]:
        body = {"name": name, "filters": {}}
        assert (await api.post(api.people.compliance, f"{V1}/searches", body)).status_code == 422, (
            name
        )


async def test_saved_searches_are_for_compliance_alone(api: Api):
    for who in (api.people.adams, api.people.admin, api.people.patient):
        assert (await api.get(who, f"{V1}/searches")).status_code == 403
        assert (await api.get(who, f"{V1}/searches/{new_id()}/events")).status_code in {403, 404}
