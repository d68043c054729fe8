"""The waitlist: a freed time goes to the first who waits and whom it fits, to nobody else, and on when they do not want it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from core.clock import now
from core.ids import new_id
from policies.rules import defaults
from records.scheduling import answering
from records.scheduling.clockwork import lapse
from tests.apis import Api, serve
from tests.clinics import outbox


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def post(api: Api, path: str, body: object = None, who: str = "reception"):
    return await api.post(getattr(api.people, who), path, body)


async def get(api: Api, path: str, who: str = "reception"):
    return (await api.get(getattr(api.people, who), path)).json()


async def patient(api: Api) -> str:
    body = {
        "name": {"family": "Oddfellow", "given": ["N"]},
        "birth_date": "1990-01-01",
        "sex": "unknown",
    }
    return (await post(api, "/v1/patients", body)).json()["id"]


def adams(api: Api) -> str:
    return str(api.people.adams.subject.doctor_id)


async def wait(api: Api, patient_id: str, **wish: object) -> str:
    body = {"patient_id": patient_id, "latest": (now() + timedelta(days=60)).isoformat()} | wish
    made = await post(api, "/v1/waitlist", body)
    assert made.status_code == 201, made.text
    return made.json()["id"]


async def book(api: Api, patient_id: str, start: datetime, **more: object) -> str:
    body = {"patient_id": patient_id, "doctor_id": adams(api), "start": start.isoformat()} | more
    made = await post(api, "/v1/appointments", body)
    assert made.status_code == 201, made.text
    return made.json()["id"]


def later(days: int = 5, hour: int = 12) -> datetime:
    day = now().astimezone(ZoneInfo("America/New_York")) + timedelta(days=days)
    return day.replace(hour=hour, minute=0, second=0, microsecond=0)


async def cancel(api: Api, appointment_id: str) -> None:
    assert (await post(api, f"/v1/appointments/{appointment_id}/cancel")).status_code == 200


async def offers(api: Api) -> list[str]:
    found = await get(api, "/v1/waitlist?status=offered")
    return [e["id"] for e in found["items"]]


async def sql(url: str, text: str):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(text)
    finally:
        await connection.close()


async def test_a_patient_does_not_say_how_urgent_they_are(api: Api):
    refused = await post(api, "/v1/waitlist", {"priority": 1}, who="patient")
    assert refused.status_code == 403
    assert (await post(api, "/v1/waitlist", {}, who="patient")).status_code == 201


async def test_nobody_waits_with_another_patients_appointment(api: Api):
    body = {"patient_id": await patient(api), "appointment_id": str(api.people.appointment_id)}
    refused = await post(api, "/v1/waitlist", body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/appointment_id")


async def test_an_entry_out_of_sight_answers_like_an_absent_one(api: Api):
    entry = await wait(api, str(api.people.patient_id))
    for path in (f"/v1/waitlist/{entry}", f"/v1/waitlist/{new_id()}"):
        assert (await api.get(api.people.baker, path)).status_code == 404
        assert (await post(api, f"{path}/accept", who="baker")).status_code == 404
    assert (await get(api, "/v1/waitlist", who="baker"))["items"] == []


async def test_a_wish_that_no_time_can_meet_is_refused(api: Api):
    hours = {"patient_id": await patient(api), "not_before": "12:00", "not_after": "11:59"}
    assert (await post(api, "/v1/waitlist", hours)).status_code == 422
    await wait(api, hours["patient_id"], not_before="00:00", not_after="00:00")


async def test_without_an_offer_there_is_nothing_to_accept_or_decline(api: Api):
    entry = await wait(api, await patient(api))
    for act in ("accept", "decline"):
        refused = await post(api, f"/v1/waitlist/{entry}/{act}")
        assert (refused.status_code, refused.json()["code"]) == (409, "no-offer")
    assert (await post(api, f"/v1/waitlist/{entry}/resume")).json()["code"] == "waitlist-state"


UNFIT: list[dict[str, object]] = [
    {"doctor_ids": [str(new_id())]},
    {"minutes": 45},
    {"earliest": later(6).isoformat()},
    {"latest": later(4).isoformat()},
    {"weekdays": [later().isoweekday() % 7 + 1]},
    {"not_before": "12:01:00"},
    {"not_after": "11:59:00"},
]


async def test_a_time_that_does_not_fit_is_not_offered(api: Api):
    visit = await book(api, await patient(api), later())
    entries = {await wait(api, await patient(api), **wish): wish for wish in UNFIT}
    await cancel(api, visit)
    assert [entries[entry] for entry in await offers(api)] == []


async def test_a_time_later_than_the_visit_they_have_is_not_offered(api: Api):
    waiting = await patient(api)
    has = await book(api, waiting, later(4))
    await wait(api, waiting, appointment_id=has)
    await cancel(api, await book(api, await patient(api), later(5)))
    assert await offers(api) == []


async def test_a_patient_who_is_engaged_then_is_passed_over(api: Api):
    visit = await book(api, await patient(api), later())
    busy, free = await patient(api), await patient(api)
    baker = str(api.people.baker.subject.doctor_id)
    await book(api, busy, later(), doctor_id=baker)
    await wait(api, busy)
    entry = await wait(api, free)
    await cancel(api, visit)
    assert await offers(api) == [entry]


async def test_the_order_is_urgency_then_age(api: Api):
    visit = await book(api, await patient(api), later())
    _old, soon, _urgent_later = (
        await wait(api, await patient(api)),
        await wait(api, await patient(api), priority=2),
        await wait(api, await patient(api), priority=2),
    )
    await cancel(api, visit)
    assert await offers(api) == [soon]


async def test_an_offer_keeps_the_time_from_everybody_else(api: Api):
    visit = await book(api, await patient(api), later())
    await wait(api, await patient(api))
    await cancel(api, visit)
    body = {
        "patient_id": await patient(api),
        "doctor_id": adams(api),
        "start": later().isoformat(),
    }
    assert (await post(api, "/v1/appointments", body)).json()["code"] == "slot-taken"


async def test_an_accepted_offer_is_a_booking_and_frees_the_later_visit_for_the_next(api: Api):
    early, waiting, third = await patient(api), await patient(api), await patient(api)
    visit = await book(api, early, later(5))
    has = await book(api, waiting, later(9))
    entry = await wait(
        api, waiting, appointment_id=has, doctor_ids=[adams(api)], reason="Throbbing"
    )
    next_one = await wait(api, third, earliest=later(8).isoformat())
    await cancel(api, visit)
    booked = await post(api, f"/v1/waitlist/{entry}/accept")
    assert (booked.status_code, booked.json()["status"]) == (200, "booked")
    assert booked.json()["reason"] == "Throbbing"
    assert datetime.fromisoformat(booked.json()["start"]) == later(5)
    released = await get(api, f"/v1/appointments/{has}")
    assert (released["status"], released["cancellation_reason"]) == ("cancelled", "pat-swl")
    assert (await get(api, f"/v1/waitlist/{entry}"))["status"] == "booked"
    assert await offers(api) == [next_one]
    offer = (await get(api, f"/v1/waitlist/{next_one}"))["offer"]
    assert datetime.fromisoformat(offer["start"]) == later(9)


async def test_what_cannot_be_given_up_keeps_the_offer_from_being_booked(
    api: Api, database_url: str
):
    """One transaction: when the second half fails, the first did not happen."""
    waiting = await patient(api)
    visit = await book(api, await patient(api), later(5))
    entry = await wait(api, waiting, appointment_id=await book(api, waiting, later(9)))
    await cancel(api, visit)
    await sql(
        database_url,
        "ALTER TABLE appointment ADD CONSTRAINT crash"
        " CHECK (cancellation_reason IS DISTINCT FROM 'pat-swl')",
    )
    assert (await post(api, f"/v1/waitlist/{entry}/accept")).status_code == 409
    assert (await get(api, f"/v1/waitlist/{entry}"))["status"] == "offered"


async def test_a_declined_offer_goes_to_the_next_and_waiting_is_resumed_at_the_old_place(api: Api):
    visit = await book(api, await patient(api), later())
    first, second = await wait(api, await patient(api)), await wait(api, await patient(api))
    await cancel(api, visit)
    assert await offers(api) == [first]
    assert (await post(api, f"/v1/waitlist/{first}/decline")).status_code == 204
    assert await offers(api) == [second]
    assert (await get(api, f"/v1/waitlist/{first}"))["status"] == "declined"
    assert (await post(api, f"/v1/waitlist/{first}/resume")).status_code == 204
    assert (await post(api, f"/v1/waitlist/{second}/decline")).status_code == 204
    assert await offers(api) == [first]


async def test_an_offer_that_ran_out_goes_to_the_next(api: Api, database_url: str):
    visit = await book(api, await patient(api), later())
    first, second = await wait(api, await patient(api)), await wait(api, await patient(api))
    await cancel(api, visit)
    await sql(database_url, "UPDATE appointment SET held_until = now() WHERE status = 'pending'")
    assert (await post(api, f"/v1/waitlist/{first}/accept")).json()["code"] == "hold-expired"
    async with api.clinic.database.transaction() as session:
        await lapse(session, api.clinic)
    assert await offers(api) == [second]
    assert (await get(api, f"/v1/waitlist/{first}"))["status"] == "expired"


async def test_a_moved_visit_frees_its_old_time(api: Api):
    visit = await book(api, await patient(api), later())
    entry = await wait(api, await patient(api))
    move = {"start": later(6).isoformat()}
    assert (await post(api, f"/v1/appointments/{visit}/reschedule", move)).status_code == 200
    assert await offers(api) == [entry]


async def test_whoever_leaves_passes_the_offer_on(api: Api):
    visit = await book(api, await patient(api), later())
    first, second = await wait(api, await patient(api)), await wait(api, await patient(api))
    await cancel(api, visit)
    bearer, path = await api.bearer(api.people.reception), f"/v1/waitlist/{first}"
    assert (await api.http.delete(path, headers=bearer)).status_code == 428
    seen = {"If-Match": 'W/"2"'}
    assert (await api.http.delete(path, headers=bearer | seen)).status_code == 204
    assert (await get(api, path))["status"] == "removed"
    assert await offers(api) == [second]


async def test_who_leaves_while_an_offer_is_made_to_them_hears_of_it_and_leaves_nothing_behind(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    visit = await book(api, await patient(api), later())
    entry = await wait(api, await patient(api))
    seen = answering._seen

    async def slowly(*about: Any) -> Any:
        found = await seen(*about)
        monkeypatch.setattr(answering, "_seen", seen)
        await cancel(api, visit)
        return found

    monkeypatch.setattr(answering, "_seen", slowly)
    headers = await api.bearer(api.people.reception) | {"If-Match": "*"}
    path = f"/v1/waitlist/{entry}"
    answers = [await api.http.delete(path, headers=headers) for _ in range(2)]
    assert [a.status_code for a in answers] == [409, 204]
    assert (await get(api, "/v1/holds"))["items"] == []


async def test_an_offer_confirmed_as_an_appointment_is_the_entrys_booking_too(api: Api):
    visit = await book(api, await patient(api), later())
    entry = await wait(api, await patient(api))
    await cancel(api, visit)
    hold = (await get(api, f"/v1/waitlist/{entry}"))["offer"]["appointment_id"]
    assert (await post(api, f"/v1/appointments/{hold}/confirm")).status_code == 200
    assert (await get(api, f"/v1/waitlist/{entry}"))["status"] == "booked"


async def test_a_policy_that_forbids_offers_does_not_forbid_cancelling(api: Api):
    visit = await book(api, await patient(api), later())
    await wait(api, await patient(api))
    snapshot = api.clinic.policy._snapshot
    rules = [r for r in defaults() if r.id != "appointment-clockwork"]
    api.clinic.policy._snapshot = type(snapshot).build(snapshot.version, rules)
    await cancel(api, visit)
    assert await offers(api) == []


async def test_an_offer_is_on_the_trail_as_the_clinics_own_doing(api: Api, database_url: str):
    visit = await book(api, await patient(api), later())
    waiting = await patient(api)
    await wait(api, waiting)
    await cancel(api, visit)
    (event,) = [e for e in await outbox(database_url) if e["roles"] == ["clockwork"]]
    assert (event["action"], event["patient"]) == ("book", waiting)
    assert event["endpoint"] == "chore offer"


async def test_what_slot_search_would_not_show_is_not_offered(api: Api):
    away, outside, last = (later(days) for days in (5, 6, 7))
    visits = [await book(api, await patient(api), start) for start in (away, outside, last)]
    entry = await wait(api, await patient(api))
    absence = {"start": away.isoformat(), "end": (away + timedelta(hours=2)).isoformat()}
    made = await post(api, f"/v1/doctors/{adams(api)}/time-off", absence)
    assert made.status_code == 201
    for day, start, end in ((away, "08:00", "18:00"), (outside, "08:00", "10:00")):
        body = {"weekday": day.isoweekday(), "start": start, "end": end}
        await post(api, f"/v1/doctors/{adams(api)}/schedules", body)
    for visit in visits[:2]:
        await cancel(api, visit)
        assert await offers(api) == []
    body = {"weekday": last.isoweekday(), "start": "08:00", "end": "18:00"}
    await post(api, f"/v1/doctors/{adams(api)}/schedules", body)
    await cancel(api, visits[2])
    assert await offers(api) == [entry]


async def test_two_times_freed_at_once_are_not_both_offered_to_one_who_waits(api: Api):
    visits = [await book(api, await patient(api), later(days)) for days in (5, 6)]
    entry = await wait(api, await patient(api))
    await asyncio.gather(*(cancel(api, visit) for visit in visits))
    assert await offers(api) == [entry]
    held = await get(api, "/v1/holds")
    assert len(held["items"]) == 1


async def test_an_offer_accepted_twice_at_once_is_booked_once(api: Api):
    visit = await book(api, await patient(api), later())
    entry = await wait(api, await patient(api))
    await cancel(api, visit)
    answers = await asyncio.gather(*(post(api, f"/v1/waitlist/{entry}/accept") for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409]
