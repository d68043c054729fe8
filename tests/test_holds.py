"""Holds and the clinic's clockwork: who is refused meanwhile, who is not afterwards, and what happens by itself."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from core.clock import now
from records.scheduling.clockwork import lapse, mark_missed
from tests.apis import Api, serve
from tests.clinics import open_always, outbox


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


def slot(api: Api, **more: object) -> dict[str, object]:
    start = (now() + timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    return {
        "patient_id": str(api.people.patient_id),
        "doctor_id": str(api.people.adams.subject.doctor_id),
        "start": start.isoformat(),
    } | more


async def sql(url: str, text: str):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(text)
    finally:
        await connection.close()


async def run_out(url: str) -> None:
    await sql(url, "UPDATE appointment SET held_until = now() WHERE held_until IS NOT NULL")


async def test_a_hold_refuses_others_like_a_booking(api: Api):
    assert (await api.post(api.people.reception, "/v1/holds", slot(api))).status_code == 201
    for path in ("/v1/holds", "/v1/appointments"):
        refused = await api.post(api.people.reception, path, slot(api))
        assert (refused.status_code, refused.json()["code"]) == (409, "slot-taken")


async def test_a_hold_that_ran_out_refuses_nobody(api: Api, database_url: str):
    await api.post(api.people.reception, "/v1/holds", slot(api))
    await run_out(database_url)
    assert (await api.post(api.people.reception, "/v1/appointments", slot(api))).status_code == 201


async def test_a_hold_that_ran_out_is_not_booked_and_not_found(api: Api, database_url: str):
    held = (await api.post(api.people.reception, "/v1/holds", slot(api))).json()
    await run_out(database_url)
    body = slot(api, hold_id=held["id"])
    refused = await api.post(api.people.reception, "/v1/appointments", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "hold-expired")
    assert (await api.get(api.people.reception, f"/v1/holds/{held['id']}")).status_code == 404
    assert (await api.get(api.people.reception, "/v1/holds")).json()["items"] == []


async def test_a_hold_for_somebody_else_is_not_booked_from(api: Api):
    held = (await api.post(api.people.reception, "/v1/holds", slot(api))).json()
    other = slot(api, hold_id=held["id"], doctor_id=str(api.people.baker.subject.doctor_id))
    refused = await api.post(api.people.reception, "/v1/appointments", other)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/hold_id")


async def test_a_hold_of_a_hidden_patient_answers_like_none(api: Api):
    held = (await api.post(api.people.reception, "/v1/holds", slot(api))).json()
    path = f"/v1/holds/{held['id']}"
    assert (await api.get(api.people.baker, path)).status_code == 404
    headers = await api.bearer(api.people.baker) | {"If-Match": '"1"'}
    assert (await api.http.delete(path, headers=headers)).status_code == 404


async def test_a_hold_does_not_open_a_chart(api: Api):
    """A visit makes a doctor see the patient; keeping a slot for some minutes must not."""
    baker = str(api.people.baker.subject.doctor_id)
    await api.post(api.people.reception, "/v1/holds", slot(api, doctor_id=baker))
    path = f"/v1/patients/{api.people.patient_id}"
    assert (await api.get(api.people.baker, path)).status_code == 404


async def test_a_doctor_does_not_let_themselves_in_by_a_hold_in_their_calendar(api: Api):
    baker, patient = api.people.baker, f"/v1/patients/{api.people.patient_id}"
    body = slot(api, doctor_id=str(baker.subject.doctor_id))
    held = (await api.post(api.people.reception, "/v1/holds", body)).json()
    visit = f"/v1/appointments/{held['id']}"
    assert (await api.get(baker, visit)).status_code == 200
    assert (await api.post(baker, f"{visit}/confirm", {})).status_code == 403
    taken = await api.post(baker, "/v1/appointments", body | {"hold_id": held["id"]})
    assert taken.status_code == 403
    note = {"kind": "note", "title": "A note", "sensitivity": "N", "content": {"text": "Fine"}}
    assert (await api.post(baker, f"{visit}/records", note)).status_code == 403
    assert (await api.get(baker, patient)).status_code == 404
    assert (await api.post(api.people.reception, f"{visit}/confirm", {})).status_code == 200
    assert (await api.post(baker, f"{visit}/records", note)).status_code == 201


async def test_a_booking_is_not_released_as_a_hold(api: Api):
    headers = await api.bearer(api.people.reception) | {"If-Match": "*"}
    path = f"/v1/holds/{api.people.appointment_id}"
    assert (await api.http.delete(path, headers=headers)).status_code == 404


async def test_a_release_needs_the_version_and_frees_the_slot(api: Api):
    held = await api.post(api.people.reception, "/v1/holds", slot(api))
    bearer, path = await api.bearer(api.people.reception), held.headers["location"]
    assert (await api.http.delete(path, headers=bearer)).status_code == 428
    stale = await api.http.delete(path, headers=bearer | {"If-Match": 'W/"9"'})
    assert stale.status_code == 412
    seen = {"If-Match": held.headers["etag"]}
    assert (await api.http.delete(path, headers=bearer | seen)).status_code == 204
    assert (await api.post(api.people.reception, "/v1/holds", slot(api))).status_code == 201


async def test_a_patient_holds_for_themselves_and_books_it(api: Api):
    await open_always(api.clinic, api.people.adams)
    body = {k: v for k, v in slot(api).items() if k != "patient_id"}
    held = (await api.post(api.people.patient, "/v1/holds", body | {"minutes": 5})).json()
    left = datetime.fromisoformat(held["expires_at"]) - now()
    assert timedelta(minutes=4) < left <= timedelta(minutes=5)
    path = f"/v1/holds/{held['id']}"
    assert (await api.get(api.people.patient, path)).json() == held
    booked = await api.post(
        api.people.patient, "/v1/appointments", slot(api, hold_id=held["id"], reason="Hiccups")
    )
    assert booked.status_code == 201
    assert booked.json()["id"] == held["id"]
    assert (booked.json()["status"], booked.json()["reason"]) == ("booked", "Hiccups")
    assert booked.json()["held_until"] is None
    read = await api.get(api.people.patient, booked.headers["location"])
    assert read.json() == booked.json()


async def test_a_hold_that_was_given_up_is_not_taken_back(api: Api):
    held = (await api.post(api.people.reception, "/v1/holds", slot(api))).json()
    visit = f"/v1/appointments/{held['id']}"
    await api.post(api.people.reception, f"{visit}/cancel", {})
    undone = await api.post(api.people.reception, f"{visit}/undo", {})
    assert undone.json()["code"] == "nothing-to-undo"


async def test_the_clockwork_lets_holds_go_and_says_so(api: Api, database_url: str):
    held = (await api.post(api.people.reception, "/v1/holds", slot(api))).json()
    await run_out(database_url)
    async with api.clinic.database.transaction() as session:
        assert len(await lapse(session, api.clinic)) == 1
    history = await api.get(api.people.reception, f"/v1/appointments/{held['id']}/history")
    step = history.json()["items"][-1]
    assert (step["act"], step["to_status"], step["reason_code"]) == (
        "expire",
        "cancelled",
        "hold-expired",
    )
    assert step["by"] is None
    (event,) = [e for e in await outbox(database_url) if e["roles"] == ["clockwork"]]
    assert (event["action"], event["rule"]) == ("cancel", "appointment-clockwork")


MISSED = """UPDATE appointment SET starts_at = now() - interval '2 hours', ends_at = now() - interval '{}',
 blocked_from = NULL, blocked_until = NULL"""


async def swept(api: Api) -> int:
    async with api.clinic.database.transaction() as session:
        return await mark_missed(session, api.clinic)


async def test_a_visit_nobody_came_to_is_missed_after_the_grace_period(api: Api, database_url: str):
    for ended, missed in [("10 minutes", 0), ("20 minutes", 1)]:
        await sql(database_url, MISSED.format(ended))
        assert await swept(api) == missed, ended


async def test_a_visit_that_was_attended_is_not_missed(api: Api, database_url: str):
    visit = f"/v1/appointments/{api.people.appointment_id}"
    await api.post(api.people.reception, f"{visit}/check-in", {})
    await sql(database_url, MISSED.format("1 hour"))
    assert await swept(api) == 0


async def test_a_missed_visit_that_was_unmarked_by_hand_stays_unmarked(api: Api, database_url: str):
    visit = f"/v1/appointments/{api.people.appointment_id}"
    await sql(database_url, MISSED.format("1 hour"))
    assert await swept(api) == 1
    body = {"reason": "The desk forgot to check her in"}
    undone = await api.post(api.people.reception, f"{visit}/undo", body)
    assert undone.json()["status"] == "booked"
    assert await swept(api) == 0
    assert (await api.post(api.people.reception, f"{visit}/check-in", {})).status_code == 200


async def test_nobody_has_the_role_of_the_clockwork(api: Api, database_url: str):
    assert api.people.nurse.subject.id
    with pytest.raises(asyncpg.CheckViolationError):
        await sql(database_url, "UPDATE account SET roles = '{clockwork}'")


async def test_the_chores_of_the_calendar_find_their_work(
    api: Api, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The tasks as a worker runs them: plain functions that open the clinic by themselves."""
    import asyncio

    from core.settings import settings
    from records.scheduling import tasks

    await api.post(api.people.reception, "/v1/holds", slot(api))
    await run_out(database_url)
    monkeypatch.setenv("CONFIDE_DATABASE_URL", database_url)
    monkeypatch.setenv("CONFIDE_HOME", str(tmp_path))
    settings.cache_clear()
    for task in (tasks.lapse_holds, tasks.mark_missed_visits, tasks.forget_keys):
        await asyncio.to_thread(task)
    settings.cache_clear()
    left = await sql(database_url, "SELECT 1 FROM appointment WHERE status = 'pending'")
    assert left == []
