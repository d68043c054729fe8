"""The life of an appointment over HTTP: what may follow what, who may do it, what stays written down."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import now
from core.ids import new_id
from records.scheduling.life import FINAL, GRACE, LIFE, legal
from records.scheduling.models import Act, AppointmentStatus
from tests.apis import Api, serve
from tests.clinics import outbox


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


def visit(api: Api) -> str:
    return f"/v1/appointments/{api.people.appointment_id}"


async def start_of(api: Api) -> datetime:
    read = await api.get(api.people.reception, visit(api))
    return datetime.fromisoformat(read.json()["start"])


async def do(api: Api, act: str, body: object = None, who: str = "reception", **headers: str):
    me = getattr(api.people, who)
    return await api.http.post(
        f"{visit(api)}/{act}", headers=await api.bearer(me) | headers, json=body
    )


async def test_what_does_not_follow_is_refused_and_the_legal_acts_are_named(api: Api):
    assert (await do(api, "cancel")).status_code == 200
    for act in ("confirm", "check-in", "start", "complete", "cancel", "no-show"):
        refused = await do(api, act)
        assert (refused.status_code, refused.json()["code"]) == (409, "illegal-transition"), act
        assert refused.json()["legal"] == ["enter-in-error"]
    moved = await do(api, "reschedule", {"start": (now() + timedelta(days=9)).isoformat()})
    assert (moved.status_code, moved.json()["code"]) == (409, "illegal-transition")


async def test_a_visit_is_not_missed_before_the_grace_period_is_over(api: Api):
    refused = await do(api, "no-show")
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal-transition")
    assert "no-show" not in refused.json()["legal"]


async def test_a_stale_version_is_refused_and_changes_nothing(api: Api):
    assert (await do(api, "check-in")).status_code == 200
    refused = await do(api, "complete", **{"If-Match": 'W/"1"'})
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition-failed")
    assert (await do(api, "complete", **{"If-Match": "nonsense"})).status_code == 412
    done = await do(api, "complete", **{"If-Match": 'W/"2"'})
    assert (done.status_code, done.headers["etag"]) == (200, 'W/"3"')


async def test_a_patient_does_not_run_their_own_visit(api: Api):
    for act in ["check-in", "start", "complete", "no-show"]:
        assert (await do(api, act, who="patient")).status_code == 403, act


async def test_a_visit_out_of_sight_cannot_be_changed_and_answers_like_an_absent_one(api: Api):
    for act in ["cancel", "confirm", "undo", "enter-in-error"]:
        assert (await do(api, act, who="baker")).status_code == 404, act
        absent = await api.post(api.people.baker, f"/v1/appointments/{new_id()}/{act}", {})
        assert absent.status_code == 404, act
        assert (await api.get(api.people.baker, f"{visit(api)}/history")).status_code == 404, act


async def test_the_front_desk_may_not_retract(api: Api):
    assert (await do(api, "enter-in-error")).status_code == 403
    assert (await do(api, "enter-in-error", who="adams")).json()["status"] == "entered-in-error"


async def test_a_code_of_cancelling_belongs_to_nothing_else(api: Api):
    for act in ("check-in", "undo"):
        refused = await do(api, act, {"reason_code": "pat"})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "/reason_code"


async def test_a_refused_change_leaves_neither_history_nor_event(api: Api, database_url: str):
    await do(api, "complete")
    steps = (await api.get(api.people.reception, f"{visit(api)}/history")).json()["items"]
    assert [s["act"] for s in steps] == ["book"]
    assert [e for e in await outbox(database_url) if e["action"] == "attend"] == []


async def test_a_visit_runs_from_the_desk_to_its_end(api: Api):
    states = [(await do(api, act)).json()["status"] for act in ("check-in", "start", "complete")]
    assert states == ["checked-in", "arrived", "fulfilled"]
    steps = (await api.get(api.people.adams, f"{visit(api)}/history")).json()["items"]
    assert [s["act"] for s in steps] == ["book", "check-in", "start", "complete"]
    assert [s["version"] for s in steps] == [1, 2, 3, 4]
    assert {s["by"] for s in steps} == {str(api.people.reception.subject.id)}


async def test_the_words_of_a_reason_are_sealed_and_read_in_the_history_alone(
    api: Api, database_url: str
):
    await do(api, "cancel", {"reason_code": "oth-weath", "reason": "Snowed in at Nettlebed"})
    steps = (await api.get(api.people.adams, f"{visit(api)}/history")).json()["items"]
    assert (steps[1]["reason_code"], steps[1]["note"]) == ("oth-weath", "Snowed in at Nettlebed")
    connection = await asyncpg.connect(database_url)
    stored = await connection.fetchval("SELECT note FROM appointment_change")
    await connection.close()
    assert b"Snowed" not in stored


async def test_who_cancels_without_a_code_is_known_by_who_they_are(api: Api):
    assert (await do(api, "cancel", who="patient")).json()["cancellation_reason"] == "pat"


async def test_every_change_is_on_the_trail(api: Api, database_url: str):
    await do(api, "check-in")
    (event,) = [e for e in await outbox(database_url) if e["action"] == "attend"]
    assert event["outcome"] == "allow"
    assert event["resource_ids"] == [str(api.people.appointment_id)]
    assert event["endpoint"] == "POST /v1/appointments/{appointment_id}/check-in"


async def test_an_undo_restores_status_and_time_and_is_not_undone_itself(api: Api):
    before = await start_of(api)
    await do(api, "reschedule", {"start": (before + timedelta(hours=3)).isoformat()})
    undone = await do(api, "undo")
    assert datetime.fromisoformat(undone.json()["start"]) == before
    assert (undone.json()["status"], undone.json()["version"]) == ("booked", 3)
    again = await do(api, "undo")
    assert (again.status_code, again.json()["code"]) == (409, "nothing-to-undo")


async def test_a_booking_that_never_changed_has_nothing_to_undo(api: Api):
    assert (await do(api, "undo")).json()["code"] == "nothing-to-undo"


async def test_a_patient_takes_back_their_cancelling_but_not_the_desks_check_in(api: Api):
    await do(api, "cancel", who="patient")
    assert (await do(api, "undo", who="patient")).json()["status"] == "booked"
    await do(api, "check-in")
    assert (await do(api, "undo", who="patient")).status_code == 403


async def test_a_doctor_takes_back_what_they_cancelled_but_not_what_others_did(api: Api):
    chart = f"/v1/patients/{api.people.patient_id}"
    baker = {"doctor_id": str(api.people.baker.subject.doctor_id), "override": True}
    later = (await start_of(api) + timedelta(hours=3)).isoformat()
    assert (await do(api, "reschedule", baker | {"start": later})).status_code == 200
    assert (await do(api, "cancel", who="baker")).status_code == 200
    assert (await do(api, "undo", who="baker")).status_code == 200
    assert (await do(api, "cancel", who="patient")).status_code == 200
    assert (await do(api, "undo", who="baker")).status_code == 403
    assert (await api.get(api.people.baker, chart)).status_code == 404


async def test_a_cancelled_time_can_be_booked_at_once_and_then_the_undo_loses(api: Api):
    """The same slot after a cancel was refused elsewhere; here it is simply free."""
    before = (await api.get(api.people.reception, visit(api))).json()
    await do(api, "cancel")
    body = {k: before[k] for k in ("patient_id", "doctor_id", "start")}
    assert (await api.post(api.people.reception, "/v1/appointments", body)).status_code == 201
    refused = await do(api, "undo")
    assert (refused.status_code, refused.json()["code"]) == (409, "slot-taken")
    cancelled = (await api.get(api.people.reception, visit(api))).json()
    assert (cancelled["status"], cancelled["cancellation_reason"]) == ("cancelled", "other")


async def test_a_move_keeps_the_appointment_and_counts(api: Api):
    before = (await api.get(api.people.reception, visit(api))).json()
    start = datetime.fromisoformat(before["start"]) + timedelta(minutes=15)
    moved = (await do(api, "reschedule", {"start": start.isoformat()})).json()
    assert datetime.fromisoformat(moved["start"]) == start
    assert datetime.fromisoformat(moved["end"]) == start + timedelta(minutes=30)
    assert (moved["moves"], moved["version"], moved["id"]) == (1, 2, before["id"])
    assert (moved["status"], moved["reason"]) == (before["status"], before["reason"])


async def test_a_move_to_a_taken_time_keeps_the_old_one(api: Api):
    before = (await api.get(api.people.reception, visit(api))).json()
    later = datetime.fromisoformat(before["start"]) + timedelta(hours=2)
    body = {k: before[k] for k in ("patient_id", "doctor_id")} | {"start": later.isoformat()}
    assert (await api.post(api.people.reception, "/v1/appointments", body)).status_code == 201
    refused = await do(api, "reschedule", {"start": later.isoformat()})
    assert (refused.status_code, refused.json()["code"]) == (409, "slot-taken")
    assert (await api.get(api.people.reception, visit(api))).json() == before


async def test_a_move_into_the_past_is_invalid(api: Api):
    refused = await do(api, "reschedule", {"start": "2020-01-01T10:00:00Z"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "past")


async def test_two_visits_that_change_places_at_once_end_in_one_winner_or_none_and_no_overlap(
    api: Api,
):
    first = (await api.get(api.people.reception, visit(api))).json()
    body = {k: first[k] for k in ("patient_id", "doctor_id")} | {"start": first["end"]}
    second = (await api.post(api.people.reception, "/v1/appointments", body)).json()
    for _ in range(5):
        answers = await asyncio.gather(
            *(
                api.post(
                    api.people.reception,
                    f"/v1/appointments/{who['id']}/reschedule",
                    {"start": other["start"]},
                )
                for who, other in ((first, second), (second, first))
            )
        )
        assert {a.status_code for a in answers} <= {200, 409}


def test_no_final_status_leads_anywhere_but_to_error():
    later = datetime.max.replace(tzinfo=now().tzinfo)
    for status in ("fulfilled", "cancelled", "noshow"):
        assert legal(AppointmentStatus(status), now(), later) == [Act.ENTER_IN_ERROR]
    assert legal(AppointmentStatus.ENTERED_IN_ERROR, now(), later) == []


@given(st.sampled_from(AppointmentStatus), st.timedeltas(-GRACE * 3, GRACE * 3))
def test_what_is_legal_is_what_the_table_says_and_a_no_show_waits(status, passed):
    at = now()
    expected = {a for a, t in LIFE.items() if status in t.before and a is not Act.EXPIRE}
    if passed < GRACE:
        expected -= {Act.NO_SHOW}
    assert set(legal(status, at - passed, at)) == expected


def test_every_act_is_in_the_table_or_an_undo():
    assert set(LIFE) | {Act.UNDO} == set(Act)
    assert set(Act) > FINAL
