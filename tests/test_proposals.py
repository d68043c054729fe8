"""Proposed visits: a wish that holds no time, until somebody who may book confirms it."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.clock import now
from tests.apis import Api, serve
from tests.clinics import open_always
from tests.policy_apis import Desk

DESK_BOOKS = {
    "id": "soft-desk-books",
    "tier": 3,
    "subject": "patient",
    "resource": "appointment",
    "action": "book",
    "effect": "deny",
    "condition": "True",
    "note": "The desk sees every request first",
}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        await open_always(api.clinic, api.people.adams)
        yield api


def wish(api: Api, **more: object) -> dict[str, object]:
    start = (now() + timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    return {
        "patient_id": str(api.people.patient_id),
        "doctor_id": str(api.people.adams.subject.doctor_id),
        "start": start.isoformat(),
        "status": "proposed",
    } | more


async def proposed(api: Api, **more: object) -> dict[str, Any]:
    answer = await api.post(api.people.patient, "/v1/appointments", wish(api, **more))
    assert (answer.status_code, answer.json()["status"]) == (201, "proposed"), answer.text
    return answer.json()


async def confirm(api: Api, visit: dict[str, Any], who: str = "reception", body: object = None):
    me = getattr(api.people, who)
    return await api.post(me, f"/v1/appointments/{visit['id']}/confirm", body)


async def test_a_proposal_refuses_nobody_and_loses_to_who_booked(api: Api):
    visit = await proposed(api)
    body = wish(api, status="booked")
    assert (await api.post(api.people.reception, "/v1/appointments", body)).status_code == 201
    lost = await confirm(api, visit)
    assert (lost.status_code, lost.json()["code"]) == (409, "slot-taken")
    assert len(lost.json()["alternatives"]) == 3
    read = await api.get(api.people.patient, f"/v1/appointments/{visit['id']}")
    assert read.json() == visit


async def test_a_confirmed_proposal_is_booked_and_refuses_others(api: Api):
    visit = await proposed(api, reason="Hiccups")
    booked = await confirm(api, visit)
    assert (booked.status_code, booked.json()["status"]) == (200, "booked")
    assert booked.json()["reason"] == "Hiccups"
    body = wish(api, status="booked")
    refused = await api.post(api.people.reception, "/v1/appointments", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "slot-taken")


async def test_who_may_not_book_proposes_and_does_not_confirm_it(api: Api):
    desk = await Desk.open(api)
    await desk.publish(await desk.draft(DESK_BOOKS))
    body = wish(api, status="booked")
    assert (await api.post(api.people.patient, "/v1/appointments", body)).status_code == 403
    visit = await proposed(api)
    assert (await confirm(api, visit, "patient")).status_code == 403
    assert (await confirm(api, visit)).status_code == 200


async def test_nobody_proposes_for_a_patient_out_of_sight(api: Api):
    refused = await api.post(api.people.baker, "/v1/appointments", wish(api))
    absent = await api.post(
        api.people.baker, "/v1/appointments", wish(api, patient_id=str(api.people.record.id))
    )
    assert refused.status_code == absent.status_code == 404


async def test_a_proposal_opens_no_chart(api: Api):
    await open_always(api.clinic, api.people.baker)
    await proposed(api, doctor_id=str(api.people.baker.subject.doctor_id))
    hidden = await api.get(api.people.baker, f"/v1/patients/{api.people.patient_id}")
    assert hidden.status_code == 404


async def test_a_time_that_is_not_offered_any_more_is_confirmed_on_purpose_alone(api: Api):
    visit = await proposed(api)
    away = {"start": visit["start"], "end": visit["end"]}
    doctor = f"/v1/doctors/{visit['doctor_id']}/time-off"
    assert (await api.post(api.people.reception, doctor, away)).status_code == 201
    refused = await confirm(api, visit)
    assert (refused.status_code, refused.json()["code"]) == (422, "outside-availability")
    forbidden = await confirm(api, visit, "patient", {"override": True})
    assert forbidden.status_code == 403
    assert (await confirm(api, visit, body={"override": True})).status_code == 200


async def test_another_time_is_proposed_in_its_place(api: Api):
    visit = await proposed(api)
    later = (datetime.fromisoformat(visit["start"]) + timedelta(hours=2)).isoformat()
    path = f"/v1/appointments/{visit['id']}/reschedule"
    moved = await api.post(api.people.reception, path, {"start": later})
    assert (moved.status_code, moved.json()["status"]) == (200, "proposed")
    assert datetime.fromisoformat(moved.json()["start"]) == datetime.fromisoformat(later)


async def test_two_who_propose_one_seat_of_a_group_sit_beside_each_other(api: Api):
    group = {"name": "Back school", "capacity": 2}
    service = (await api.post(api.people.admin, "/v1/services", group)).json()["id"]
    new = {"name": {"family": "Larkspur", "given": "Lysander"}, "birth_date": "1980-02-03", "sex": "male"}  # fmt: skip
    other = (await api.post(api.people.reception, "/v1/patients", new)).json()["id"]
    visits = [await proposed(api, service_id=service)]
    body = wish(api, service_id=service, patient_id=other)
    visits.append((await api.post(api.people.reception, "/v1/appointments", body)).json())
    assert [(await confirm(api, visit)).status_code for visit in visits] == [200, 200]


async def test_a_hold_is_booked_not_proposed(api: Api):
    body = {k: v for k, v in wish(api).items() if k != "status"}
    held = (await api.post(api.people.reception, "/v1/holds", body)).json()
    refused = await api.post(api.people.reception, "/v1/appointments", wish(api, hold_id=held["id"]))  # fmt: skip
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/hold_id")
