"""Slots are computed from hours, beaten by exceptions, free of what is taken, and exactly what can be booked."""

from collections.abc import AsyncIterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.clock import now
from core.ids import new_id
from records.access.me import Me
from tests.apis import Api, serve
from tests.test_offers import book, offer, patients

ZONE = ZoneInfo("America/New_York")
DAY = now().astimezone(ZONE).date() + timedelta(days=3)
SERVICE_FIELDS = {"name": "Check-up", "duration_minutes": 20}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


def at(hour: int, minute: int = 0, *, day: date = DAY) -> datetime:
    return datetime.combine(day, time(hour, minute), ZONE)


def doctor(api: Api, name: str = "adams") -> str:
    return str(getattr(api.people, name).subject.doctor_id)


async def window(
    api: Api, start: str = "09:00", end: str = "11:00", who: str = "adams", **more: Any
) -> dict[str, Any]:
    body = {"weekday": DAY.isoweekday(), "start": start, "end": end, **more}
    made = await api.post(api.people.admin, f"/v1/doctors/{doctor(api, who)}/schedules", body)
    assert made.status_code == 201, made.text
    return made.json()


async def away(api: Api, start: datetime, end: datetime, **more: Any):
    body = {"start": start.isoformat(), "end": end.isoformat(), **more}
    return await api.post(api.people.reception, f"/v1/doctors/{doctor(api)}/time-off", body)


async def slots(api: Api, me: Me | None = None, day: date = DAY, **query: Any) -> list[dict]:
    span = {"from": at(0, day=day).isoformat(), "to": at(23, 59, day=day).isoformat()}
    answer = await api.get(me or api.people.patient, "/v1/slots", params=span | query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def starts(found: list[dict]) -> list[str]:
    return [f"{datetime.fromisoformat(s['start']).astimezone(ZONE):%H:%M}" for s in found]


async def test_doctors_keep_their_own_hours_and_the_desk_everybodys(api: Api):
    keep = {"adams", "reception", "admin"}
    for who in ("adams", "reception", "admin", "baker", "nurse", "patient", "compliance"):
        me, status = getattr(api.people, who), 201 if who in keep else 403
        body = {"weekday": 1, "start": "09:00", "end": "17:00"}
        made = await api.post(me, f"/v1/doctors/{doctor(api)}/schedules", body)
        assert made.status_code == status, who
        exception = {"start": at(9).isoformat(), "end": at(10).isoformat()}
        assert (
            await api.post(me, f"/v1/doctors/{doctor(api)}/time-off", exception)
        ).status_code == status


async def test_nobody_changes_a_window_through_another_doctors_address(api: Api):
    mine = await window(api)
    path = f"/v1/doctors/{doctor(api, 'baker')}/schedules/{mine['id']}"
    headers = await api.bearer(api.people.baker) | {"If-Match": "*"}
    assert (await api.http.patch(path, headers=headers, json={"start": "08:00"})).status_code == 404
    assert (await api.http.delete(path, headers=headers)).status_code == 404
    assert starts(await slots(api)) == ["09:00", "09:30", "10:00", "10:30"]


async def test_a_window_that_cannot_be_is_refused_with_a_pointer(api: Api):
    for wrong, pointer in [
        ({"weekday": 0}, "/weekday"),
        ({"weekday": 8}, "/weekday"),
        ({"start": "25:00"}, "/start"),
        ({"start": "09:00Z"}, "/start"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"slot_minutes": 0}, "/slot_minutes"),
        ({"service_id": str(new_id())}, "/service_id"),
        ({"valid_from": "2027-01-02", "valid_until": "2027-01-01"}, "/valid_until"),
    ]:
        body = {"weekday": 1, "start": "09:00", "end": "17:00"} | wrong
        answer = await api.post(api.people.admin, f"/v1/doctors/{doctor(api)}/schedules", body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), wrong


async def test_an_absence_that_ends_before_it_starts_is_refused_at_its_end(api: Api):
    refused = await away(api, at(12), at(11))
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/end")


async def test_a_doctor_who_is_not_there_has_no_hours(api: Api):
    body = {"weekday": 1, "start": "09:00", "end": "17:00"}
    answer = await api.post(api.people.admin, f"/v1/doctors/{new_id()}/schedules", body)
    assert answer.status_code == 404


async def test_a_window_changes_and_goes_with_its_version(api: Api):
    made = await window(api)
    path = f"/v1/doctors/{doctor(api)}/schedules/{made['id']}"
    bearer = await api.bearer(api.people.adams)
    change = {"end": "10:00", "valid_until": DAY.isoformat()}
    assert (await api.http.patch(path, headers=bearer, json=change)).status_code == 428
    changed = await api.http.patch(path, headers=bearer | {"If-Match": 'W/"1"'}, json=change)
    assert changed.json() == made | change | {"version": 2}
    assert starts(await slots(api)) == ["09:00", "09:30"]
    assert await slots(api, day=DAY + timedelta(days=7)) == []
    for tag, status in (('W/"1"', 412), ('W/"2"', 204), ('W/"2"', 404)):
        gone = await api.http.delete(path, headers=bearer | {"If-Match": tag})
        assert gone.status_code == status
    assert await slots(api) == []


async def test_without_hours_there_are_no_slots(api: Api):
    assert await slots(api) == []


async def test_slots_tell_no_more_than_where_time_is_free(api: Api):
    await window(api)
    (patient,) = await patients(api, 1)
    await book(api, "adams", patient, at(9, 30))
    found = await slots(api)
    assert starts(found) == ["09:00", "10:00", "10:30"]
    assert set(found[0]) == {"doctor_id", "start", "end", "service_id", "location_id"}


async def test_a_cancelled_visit_leaves_its_slot_and_it_can_be_booked_again(api: Api):
    await window(api)
    (patient,) = await patients(api, 1)
    visit = (await book(api, "adams", patient, at(9))).json()
    assert "09:00" not in starts(await slots(api))
    await api.post(api.people.reception, f"/v1/appointments/{visit['id']}/cancel", {})
    assert "09:00" in starts(await slots(api))
    assert (await book(api, "adams", patient, at(9))).status_code == 201


async def test_what_is_shown_is_bookable_and_nothing_else(api: Api):
    await window(api, "09:00", "10:30", slot_minutes=20)
    service = await offer(api, "services", **SERVICE_FIELDS, buffer_after_minutes=10)
    shown = starts(await slots(api, service_id=service["id"]))
    assert shown == ["09:00", "09:20", "09:40", "10:00"]
    patient = str(api.people.patient_id)
    for minute in range(0, 120, 10):
        start = at(9) + timedelta(minutes=minute)
        body = {"patient_id": patient, "doctor_id": doctor(api), "start": start.isoformat()}
        body["service_id"] = service["id"]
        answer = await api.post(api.people.patient, "/v1/appointments", body)
        assert (answer.status_code == 201) == (f"{start:%H:%M}" in shown), answer.text
        if answer.status_code == 201:
            path = f"/v1/appointments/{answer.json()['id']}/cancel"
            assert (await api.post(api.people.patient, path, {})).status_code == 200
        else:
            assert answer.json()["code"] == "outside-availability"
            assert answer.json()["errors"][0]["pointer"] == "/start"


async def test_buffers_part_visits_but_not_a_visit_from_the_end_of_the_day(api: Api):
    await window(api, "09:00", "10:30", slot_minutes=30)
    service = await offer(
        api, "services", name="Talk", buffer_before_minutes=15, buffer_after_minutes=15
    )
    (patient,) = await patients(api, 1)
    assert (await book(api, "adams", patient, at(9), service_id=service["id"])).status_code == 201
    assert starts(await slots(api, service_id=service["id"])) == ["10:00"]


async def test_an_absence_beats_the_window_and_extra_hours_add_to_it(api: Api):
    await window(api)
    assert (await away(api, at(9, 45), at(10, 15))).status_code == 201
    extra = await away(api, at(18), at(19), kind="extra", slot_minutes=60)
    assert extra.status_code == 201
    assert starts(await slots(api)) == ["09:00", "10:30", "18:00"]
    (patient,) = await patients(api, 1)
    answers = [await book(api, "adams", patient, start) for start in (at(9, 30), at(18))]
    assert [a.status_code for a in answers] == [422, 201]


async def test_who_is_not_at_a_house_is_booked_in_none_of_its_rooms_named_or_not(api: Api):
    site = await offer(api, "locations", name="House", kind="site")
    room = await offer(api, "locations", name="Room", site_id=site["id"])
    other = await offer(api, "locations", name="Elsewhere", kind="site")
    await window(api, location_id=room["id"])
    await window(api, "12:00", "13:00", location_id=other["id"])
    assert (await away(api, at(0), at(23), location_id=site["id"])).status_code == 201
    assert starts(await slots(api)) == ["12:00", "12:30"]
    (patient,) = await patients(api, 1)
    for place in ({}, {"location_id": room["id"]}, {"location_id": site["id"]}):
        refused = await book(api, "adams", patient, at(9), **place)
        assert refused.status_code == 422, place
    made = await book(api, "adams", patient, at(12))
    assert (made.status_code, made.json()["location_id"]) == (201, other["id"])


async def test_a_closed_clinic_has_no_slots_and_open_again_has(api: Api):
    await window(api)
    body = {"start": at(0).isoformat(), "end": at(10).isoformat()}
    made = await api.post(api.people.reception, "/v1/closures", body)
    assert made.status_code == 201
    assert starts(await slots(api)) == ["10:00", "10:30"]
    headers = await api.bearer(api.people.reception) | {"If-Match": 'W/"1"'}
    assert (await api.http.delete(made.headers["location"], headers=headers)).status_code == 204
    assert len(await slots(api)) == 4
    assert (await api.post(api.people.adams, "/v1/closures", body)).status_code == 403


async def test_no_weekly_window_opens_on_a_public_holiday_but_extra_hours_do(api: Api):
    day = date(DAY.year + 1, 7, 4)
    body = {"weekday": day.isoweekday(), "start": "09:00", "end": "10:00"}
    await api.post(api.people.admin, f"/v1/doctors/{doctor(api)}/schedules", body)
    assert len(await slots(api, day=day)) == 2
    for calendar, status in (("us-ma", 201), ("US-MA", 409), ("US-XX", 422), ("Narnia", 422)):
        made = await api.post(api.people.reception, "/v1/holidays", {"calendar": calendar})
        assert made.status_code == status, calendar
    assert await slots(api, day=day) == []
    await away(api, at(9, day=day), at(10, day=day), kind="extra")
    assert len(await slots(api, day=day)) == 2
    listed = await api.get(api.people.adams, f"/v1/holidays?year={day.year}")
    assert day.isoformat() in listed.json()["items"][0]["days"]


async def test_notice_and_horizon_of_a_service_are_kept_and_named(api: Api):
    await window(api, "00:00", "00:00")
    hours = int((at(12) - now()).total_seconds() // 3600)
    near = await offer(api, "services", name="Soon", notice_minutes=60 * hours)
    far = await offer(api, "services", name="Far", horizon_days=2)
    found = starts(await slots(api, service_id=near["id"], limit=100))
    assert found
    assert found[0] >= "11:00"
    assert await slots(api, service_id=far["id"]) == []
    (patient,) = await patients(api, 1)
    for service, start, code in ((near, at(10), "too-soon"), (far, at(12), "too-far")):
        answer = await book(api, "adams", patient, start, service_id=service["id"])
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        wilful = {"service_id": service["id"], "override": True}
        answer = await book(api, "adams", patient, start, **wilful)
        assert answer.status_code == 201, "the front desk may, on purpose"


async def test_a_patient_overrides_nothing(api: Api):
    await window(api)
    body = {
        "patient_id": str(api.people.patient_id),
        "doctor_id": doctor(api),
        "start": at(15).isoformat(),
    }
    refused = await api.post(api.people.patient, "/v1/appointments", body)
    wilful = await api.post(api.people.patient, "/v1/appointments", body | {"override": True})
    assert (refused.status_code, wilful.status_code) == (422, 403)


async def test_a_doctor_without_hours_is_booked_by_staff_alone(api: Api):
    body = {"patient_id": str(api.people.patient_id), "doctor_id": doctor(api, "baker")}
    body["start"] = at(9).isoformat()
    answers = [
        await api.post(me, "/v1/appointments", body)
        for me in (api.people.patient, api.people.reception)
    ]
    assert [a.status_code for a in answers] == [422, 201]


async def test_a_visit_is_not_moved_out_of_the_hours(api: Api):
    await window(api)
    (patient,) = await patients(api, 1)
    visit = (await book(api, "adams", patient, at(9))).json()
    path = f"/v1/appointments/{visit['id']}/reschedule"
    for start, more, status in (
        (at(13), {}, 422),
        (at(10), {}, 200),
        (at(13), {"override": True}, 200),
    ):
        move = {"start": start.isoformat(), **more}
        assert (await api.post(api.people.reception, path, move)).status_code == status


async def test_a_lost_race_names_the_next_three_free_times(api: Api):
    await window(api, "09:00", "12:00")
    mine, other = await patients(api, 2)
    for start in (at(9), at(10)):
        await book(api, "adams", mine, start)
    lost = await book(api, "adams", other, at(9))
    assert (lost.status_code, lost.json()["code"]) == (409, "slot-taken")
    found = lost.json()["alternatives"]
    assert starts(found) == ["09:30", "10:30", "11:00"]
    assert set(found[0]) >= {"doctor_id", "start", "end"}


async def test_a_window_for_one_service_is_for_no_other(api: Api):
    surgery = await offer(api, "services", name="Surgery", duration_minutes=60)
    talk = await offer(api, "services", name="Talk")
    await window(api, service_id=surgery["id"])
    assert starts(await slots(api, service_id=surgery["id"])) == ["09:00", "09:30", "10:00"]
    assert await slots(api, service_id=talk["id"]) == []
    (whatever,) = {s["service_id"] for s in await slots(api)}
    assert whatever == surgery["id"]
    (patient,) = await patients(api, 1)
    for service, status in ((talk, 422), (surgery, 201)):
        answer = await book(api, "adams", patient, at(9), service_id=service["id"])
        assert answer.status_code == status


async def test_doctor_and_room_must_both_be_free(api: Api):
    room = await offer(api, "locations", name="Scanner", room_kind="scan")
    service = await offer(api, "services", name="Scan", room_kind="scan")
    for who in ("adams", "baker"):
        await window(api, "09:00", "10:00", who=who)
    found = await slots(api, service_id=service["id"])
    assert len(found) == 4
    assert {s["location_id"] for s in found} == {room["id"]}
    (patient,) = await patients(api, 1)
    await book(api, "adams", patient, at(9), service_id=service["id"])
    assert starts(await slots(api, service_id=service["id"])) == ["09:30", "09:30"]
    assert len(await slots(api)) == 3, "without the service nobody needs the room"


async def test_a_group_visit_is_shown_until_its_last_seat_is_taken(api: Api):
    service = await offer(api, "services", name="Back school", capacity=2)
    await window(api, "09:00", "10:00")
    everybody = await patients(api, 2)
    for patient, shown in zip(everybody, (2, 1), strict=True):
        await book(api, "adams", patient, at(9), service_id=service["id"])
        assert len(await slots(api, service_id=service["id"])) == shown
    assert starts(await slots(api)) == ["09:30"]


async def test_doctors_are_ored_and_found_by_place(api: Api):
    site = await offer(api, "locations", name="House", kind="site")
    room = await offer(api, "locations", name="Room", site_id=site["id"])
    await window(api, location_id=room["id"])
    await window(api, who="baker")
    both = [doctor(api), doctor(api, "baker")]
    assert len(await slots(api, doctor_id=both)) == 8
    assert len(await slots(api, doctor_id=both[0])) == 4
    for place in (site, room):
        found = await slots(api, location_id=place["id"])
        assert {(s["doctor_id"], s["location_id"]) for s in found} == {(both[0], room["id"])}


async def test_pages_join_without_a_gap_or_a_repetition(api: Api):
    for who in ("adams", "baker"):
        await window(api, who=who)
    whole = await slots(api)
    span = {"from": at(0).isoformat(), "to": at(23).isoformat(), "limit": 3}
    pieces, cursor = [], None
    while True:
        query = span | ({"cursor": cursor} if cursor else {})
        page = (await api.get(api.people.patient, "/v1/slots", params=query)).json()
        pieces += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pieces == whole
    assert len(whole) == 8
    assert [s["start"] for s in whole] == sorted(s["start"] for s in whole)


async def test_a_window_of_search_is_a_month_at_most(api: Api):
    for days in [-1, 0, 32]:
        span = {"from": at(0).isoformat(), "to": (at(0) + timedelta(days=days)).isoformat()}
        answer = await api.get(api.people.patient, "/v1/slots", params=span)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "window"), days


async def test_a_patient_is_not_shown_times_at_which_they_are_engaged_elsewhere(api: Api):
    await window(api)
    me = str(api.people.patient_id)
    await book(api, "baker", me, at(9, 15))
    assert starts(await slots(api)) == ["10:00", "10:30"]
    desk = api.people.reception
    assert starts(await slots(api, desk)) == ["09:00", "09:30", "10:00", "10:30"]
    assert starts(await slots(api, desk, patient_id=me)) == ["10:00", "10:30"]


async def test_whose_visits_count_is_told_to_those_alone_who_may_book_for_them(api: Api):
    span = {"from": at(0).isoformat(), "to": at(23).isoformat()}
    (other,) = await patients(api, 1)
    for who, whom, status in (
        ("patient", other, 404),
        ("baker", str(api.people.patient_id), 404),
        ("reception", str(new_id()), 404),
        ("nurse", str(api.people.patient_id), 404),
        ("adams", str(api.people.patient_id), 200),
        ("reception", other, 200),
    ):
        query = span | {"patient_id": whom}
        answer = await api.get(getattr(api.people, who), "/v1/slots", params=query)
        assert answer.status_code == status, who


async def test_a_visit_that_is_to_be_moved_leaves_its_own_time_free_if_it_is_the_patients(api: Api):
    await window(api)
    (other,) = await patients(api, 1)
    mine = (await book(api, "adams", str(api.people.patient_id), at(9))).json()["id"]
    theirs = (await book(api, "adams", other, at(10))).json()["id"]
    assert starts(await slots(api)) == ["09:30", "10:30"]
    assert starts(await slots(api, moving=mine)) == ["09:00", "09:30", "10:30"]
    assert starts(await slots(api, moving=theirs)) == ["09:30", "10:30"]


async def test_the_alternatives_of_a_lost_race_are_free_for_the_patient_too(api: Api):
    await window(api, "09:00", "12:00")
    mine, other = await patients(api, 2)
    await book(api, "adams", mine, at(9))
    await book(api, "baker", other, at(9, 45))
    lost = await book(api, "adams", other, at(9))
    assert starts(lost.json()["alternatives"]) == ["10:30", "11:00", "11:30"]
