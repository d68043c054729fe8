"""Emergency access: given at once, for hours, noted, reviewed; and no hard denial gives way."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from core.clock import now
from core.ids import new_id
from tests.apis import Api
from tests.charts import about, reads, signed_chart
from tests.clinics import outbox

WHY = "Found unconscious in the lobby"


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with signed_chart(database_url, tmp_path) as api:
        yield api


async def breaks(api: Api, who: str = "baker", **other: Any) -> httpx.Response:
    body = {"patient_id": str(api.people.patient_id), "reason_code": "emergency"}
    body |= {"explanation": WHY} | other
    return await api.post(getattr(api.people, who), "/v1/break-glass", body)


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_without_a_grant_the_chart_stays_shut(api: Api):
    assert await reads(api, "baker") == 404


@pytest.mark.parametrize("who", ["baker", "nurse"])
async def test_a_grant_opens_one_chart_to_one_clinician_at_once(api: Api, who: str):
    assert (await breaks(api, who)).status_code == 201
    assert await reads(api, who) == 200
    others = {"baker", "nurse"} - {who}
    assert [await reads(api, other) for other in others] == [404]
    patient = f"/v1/patients/{api.people.patient_id}"
    for tail in ("", "/appointments", "/coverages"):
        assert (await api.get(getattr(api.people, who), patient + tail)).status_code == 200


async def test_nobody_but_a_clinician_breaks_the_glass_whoever_the_patient_is(api: Api):
    for who in ["reception", "admin", "compliance", "patient"]:
        answers = [await breaks(api, who), await breaks(api, who, patient_id=str(new_id()))]
        assert [a.status_code for a in answers] == [403, 403], who
        assert answers[0].json()["detail"] == answers[1].json()["detail"], who


async def test_a_grant_needs_a_reason_and_lasts_four_hours_at_most(api: Api):
    for other in [
        {"reason_code": "curious"},
        {"explanation": ""},
        {"minutes": 241},
        {"minutes": 0},
        {"account_id": str(new_id())},
        {"expires_at": "2099-01-01T00:00:00Z"},
    ]:
        assert (await breaks(api, **other)).status_code == 422, other
        assert await reads(api, "baker") == 404, other


async def test_a_patient_who_is_not_there_is_not_found(api: Api):
    assert (await breaks(api, patient_id=str(new_id()))).status_code == 404


async def test_a_grant_ends_by_itself_and_when_its_holder_says_so(api: Api, database_url: str):
    await breaks(api)
    await execute(
        database_url,
        "UPDATE break_glass SET granted_at = granted_at - interval '2 hours', expires_at = now()",
    )
    assert await reads(api, "baker") == 404
    grant = (await breaks(api, minutes=5)).json()
    life = datetime.fromisoformat(grant["expires_at"]) - datetime.fromisoformat(grant["granted_at"])
    assert life == timedelta(minutes=5)
    assert await reads(api, "baker") == 200
    visit = {
        "patient_id": str(api.people.patient_id),
        "start": (now() + timedelta(days=1)).isoformat(),
    }
    visit |= {"doctor_id": str(api.people.baker.subject.doctor_id), "override": True}
    for proposed in ({}, {"status": "proposed"}):  # or it would outlast the emergency
        booked = await api.post(api.people.baker, "/v1/appointments", visit | proposed)
        assert booked.status_code == 403
    ended = await api.post(api.people.baker, f"/v1/break-glass/{grant['id']}/end", None)
    assert ended.status_code == 204
    assert await reads(api, "baker") == 404


async def test_not_even_the_database_takes_a_grant_past_four_hours(api: Api, database_url: str):
    await breaks(api)
    with pytest.raises(asyncpg.CheckViolationError):
        await execute(
            database_url, "UPDATE break_glass SET expires_at = granted_at + interval '5 h'"
        )


async def test_consent_and_label_give_way_and_hard_denials_do_not(api: Api, database_url: str):
    await about(api, "patient", "/consents", {"decision": "deny"})
    await execute(database_url, "UPDATE record SET categories = '{HIV}', source = 'x'")
    await execute(
        database_url, "UPDATE record_version SET categories = '{HIV}', act = 'write', digest = NULL"
    )
    await breaks(api)
    assert await reads(api, "baker") == 200
    for table in ("record", "record_version"):
        await execute(database_url, f"UPDATE {table} SET categories = '{{PSY}}', sensitivity = 'V'")
    assert await reads(api, "baker") == 404
    path = f"/v1/appointments/{api.people.appointment_id}/records"
    draft = await api.post(
        api.people.adams, path, {"kind": "note", "title": "t", "content": "a draft"}
    )
    assert (await api.get(api.people.baker, draft.headers["location"])).status_code == 404


async def test_the_grant_is_on_the_trail_before_what_is_read_under_it_and_each_read_says_so(
    api: Api, database_url: str
):
    before = len(await outbox(database_url))
    grant = (await breaks(api)).json()
    await reads(api, "baker")
    events = (await outbox(database_url))[before:]
    assert (events[0]["action"], events[0]["resource_type"]) == ("create", "break_glass")
    assert events[0]["resource_ids"] == [grant["id"]]
    under = [e for e in events[1:] if e["resource_type"] == "record"]
    assert len(under) == 2
    assert {(e["outcome"], e["break_glass"], e["rule"]) for e in under} == {
        ("allow", True, "emergency-chart")
    }
    await reads(api, "adams")
    assert not any(e["break_glass"] for e in (await outbox(database_url))[before + len(events) :])


async def test_compliance_is_told_at_once_and_reviews_once(api: Api):
    grant = (await breaks(api)).json()
    waiting = await api.get(api.people.compliance, "/v1/break-glass?reviewed=false")
    (told,) = waiting.json()["items"]
    assert told == grant
    assert (told["explanation"], told["overdue"]) == (WHY, False)
    path = f"/v1/break-glass/{grant['id']}/review"
    verdict = {"verdict": "justified", "remark": "Ambulance report seen"}
    reviewed = await api.post(api.people.compliance, path, verdict)
    assert reviewed.status_code == 200
    assert reviewed.json()["reviewed_by"] == str(api.people.compliance.subject.id)
    read = await api.get(api.people.compliance, f"/v1/break-glass/{grant['id']}")
    assert read.json() == reviewed.json()
    again = await api.post(api.people.compliance, path, {"verdict": "unjustified"})
    assert (again.status_code, again.json()["code"]) == (409, "already-reviewed")
    left = await api.get(api.people.compliance, "/v1/break-glass?reviewed=false")
    assert left.json()["items"] == []


async def test_nobody_reviews_their_own_grant_and_clinicians_see_their_own_only(api: Api):
    grant = (await breaks(api)).json()
    path = f"/v1/break-glass/{grant['id']}"
    verdict = {"verdict": "justified"}
    assert (await api.post(api.people.baker, f"{path}/review", verdict)).status_code == 403
    for who in ("adams", "nurse", "admin", "reception", "patient"):
        me = getattr(api.people, who)
        assert (await api.get(me, "/v1/break-glass")).json()["items"] == []
        assert (await api.get(me, path)).status_code == 404
        assert (await api.post(me, f"{path}/review", verdict)).status_code == 404
    mine = await api.get(api.people.baker, "/v1/break-glass")
    assert [g["id"] for g in mine.json()["items"]] == [grant["id"]]


async def test_a_gauge_counts_what_waits_and_what_waits_too_long(api: Api, database_url: str):
    await breaks(api)
    await breaks(api, "nurse")
    late = "UPDATE break_glass SET granted_at = granted_at - interval '4 d', expires_at = granted_at - interval '4 d' WHERE account_id = $1"
    connection = await asyncpg.connect(database_url)
    await connection.execute(late, api.people.nurse.subject.id)
    await connection.close()
    metrics = (await api.http.get("/metrics")).text
    assert 'confide_break_glass_unreviewed{state="due"} 1.0' in metrics
    assert 'confide_break_glass_unreviewed{state="overdue"} 1.0' in metrics
    await execute(database_url, "UPDATE patient_key SET state = 'destroyed', wrapped = NULL")
    metrics = (await api.http.get("/metrics")).text
    assert 'confide_break_glass_unreviewed{state="overdue"} 0.0' in metrics, "erased for good"


async def test_the_explanation_is_sealed(api: Api, database_url: str):
    await breaks(api)
    connection = await asyncpg.connect(database_url)
    kept = await connection.fetchval("SELECT explanation FROM break_glass")
    await connection.close()
    assert WHY.encode() not in kept
