"""Calendar feeds: an address that cannot be guessed and can be revoked, telling when and nothing else."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
from icalendar import Calendar

from core.clock import now
from core.ids import new_id
from policies.facts import Subject
from policies.vocabulary import Role
from records.identity import accounts
from records.scheduling import feeds
from tests.apis import Api, serve
from tests.clinics import PASSWORD, me_as, outbox


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def feed(api: Api, who: str = "adams") -> dict[str, str]:
    made = await api.post(getattr(api.people, who), "/v1/me/calendar-feeds", {})
    assert made.status_code == 201, made.text
    return made.json()


async def fetch(api: Api, url: str, **headers: str):
    return await api.http.get(url[url.index("/calendars/") :], headers=headers)


async def event(api: Api, url: str):
    (found,) = Calendar.from_ical((await fetch(api, url)).text).walk("VEVENT")
    return found


async def test_an_address_nobody_made_leads_nowhere(api: Api):
    for path in ("/calendars/x.ics", "/calendars/" + "A" * 43 + ".ics"):
        assert (await api.http.get(path)).status_code == 404


async def test_who_has_no_calendar_has_no_feed(api: Api):
    assert (await api.post(api.people.reception, "/v1/me/calendar-feeds", {})).status_code == 404


async def opened(api: Api, who: str, **whose: object) -> httpx.Response:
    return await api.post(getattr(api.people, who), "/v1/me/calendar-feeds", whose)


async def test_a_feed_is_made_of_no_calendar_that_the_maker_may_not_read(api: Api):
    adams, patient = str(api.people.adams.subject.doctor_id), str(api.people.patient_id)
    for who, whose, status in (
        ("baker", {"doctor_id": adams}, 403),
        ("patient", {"doctor_id": adams}, 403),
        ("admin", {"doctor_id": adams}, 403),
        ("baker", {"patient_id": patient}, 404),
        ("adams", {"patient_id": patient}, 404),  # one visit with them is not all visits
        ("reception", {"patient_id": str(new_id())}, 404),
        ("reception", {"doctor_id": str(new_id())}, 422),
        ("reception", {"doctor_id": adams, "patient_id": patient}, 422),
    ):
        assert (await opened(api, who, **whose)).status_code == status, (who, whose)


async def test_the_desk_makes_a_doctors_feed_and_a_patients(api: Api):
    adams, patient = str(api.people.adams.subject.doctor_id), str(api.people.patient_id)
    for whose in ({"doctor_id": adams}, {"patient_id": patient}):
        made = await opened(api, "reception", **whose)
        assert made.status_code == 201, made.text
        found = await event(api, made.json()["url"])
        assert str(found["UID"]) == f"{api.people.appointment_id}@confide"


async def test_a_parent_has_a_feed_of_their_childs_visits_as_long_as_they_stand_in_for_the_child(
    api: Api, database_url: str
):
    async with api.clinic.database.transaction() as session:
        account = await accounts.create(
            session,
            api.clinic.indexes,
            username="parent@test",
            password=PASSWORD,
            roles=[Role.PATIENT],
        )
    parent = me_as(Subject(account.id, frozenset({Role.PATIENT})))
    path = f"/v1/patients/{api.people.patient_id}/proxies"
    named = await api.post(
        api.people.reception, path, {"account_id": str(account.id), "relationship": "parent"}
    )
    assert named.status_code == 201, named.text
    whose = {"patient_id": str(api.people.patient_id)}
    made = (await api.post(parent, "/v1/me/calendar-feeds", whose)).json()
    assert str((await event(api, made["url"]))["STATUS"]) == "CONFIRMED"
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM proxy")
    await connection.close()
    assert "VEVENT" not in (await fetch(api, made["url"])).text


async def test_whose_calendar_it_is_sees_a_feed_that_another_made_and_ends_it(api: Api):
    made = (await opened(api, "reception", patient_id=str(api.people.patient_id))).json()
    listed = (await api.get(api.people.patient, "/v1/me/calendar-feeds")).json()["items"]
    assert [f["id"] for f in listed] == [made["id"]]
    assert (await api.get(api.people.adams, "/v1/me/calendar-feeds")).json()["items"] == []
    bearer = await api.bearer(api.people.patient) | {"If-Match": "*"}
    path = f"/v1/me/calendar-feeds/{made['id']}"
    assert (await api.http.delete(path, headers=bearer)).status_code == 204
    assert (await fetch(api, made["url"])).status_code == 404


async def test_one_visit_is_put_into_a_calendar_and_taken_out_when_it_is_off(api: Api):
    path = f"/v1/appointments/{api.people.appointment_id}"
    assert (await api.get(api.people.baker, f"{path}/calendar")).status_code == 404
    for act, method, sequence in ((None, "PUBLISH", 0), ("cancel", "CANCEL", 1)):
        if act:
            await api.post(api.people.reception, f"{path}/{act}", {})
        read = await api.get(api.people.patient, f"{path}/calendar")
        assert read.headers["content-type"].startswith(f"text/calendar; method={method}")
        calendar = Calendar.from_ical(read.text)
        (found,) = calendar.walk("VEVENT")
        assert (str(calendar["METHOD"]), found["SEQUENCE"]) == (method, sequence)
        assert "megrims" not in read.text


async def test_a_revoked_address_is_worthless_at_once(api: Api):
    made = await feed(api)
    path, bearer = f"/v1/me/calendar-feeds/{made['id']}", await api.bearer(api.people.adams)
    assert (await api.http.delete(path, headers=bearer)).status_code == 428
    other = await api.bearer(api.people.baker)
    assert (await api.http.delete(path, headers=other | {"If-Match": "*"})).status_code == 404
    assert (await api.http.delete(path, headers=bearer | {"If-Match": "*"})).status_code == 204
    assert (await fetch(api, made["url"])).status_code == 404
    assert (await api.get(api.people.adams, "/v1/me/calendar-feeds")).json()["items"] == []


async def test_the_feed_of_an_account_that_ended_is_closed(api: Api, database_url: str):
    made = await feed(api)
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE account SET active = false WHERE id = $1", api.people.adams.subject.id
    )
    await connection.close()
    assert (await fetch(api, made["url"])).status_code == 404


async def test_the_address_is_not_in_the_database(api: Api, database_url: str):
    secret = (await feed(api))["url"].rpartition("/")[2].removesuffix(".ics")
    assert len(secret) >= 43
    connection = await asyncpg.connect(database_url)
    stored = await connection.fetchrow("SELECT * FROM calendar_feed")
    await connection.close()
    assert secret not in repr(dict(stored))


async def test_a_calendar_says_when_and_neither_who_nor_why(api: Api):
    for who in ["adams", "patient"]:
        read = await fetch(api, (await feed(api, who))["url"])
        assert read.headers["content-type"].startswith("text/calendar"), who
        for secret in ("Quillfeather", "Philippa", "megrims", "Adams", str(api.people.patient_id)):
            assert secret not in read.text, who
        (visit,) = Calendar.from_ical(read.text).walk("VEVENT")
        stored = (
            await api.get(api.people.reception, f"/v1/appointments/{api.people.appointment_id}")
        ).json()
        assert visit.start == datetime.fromisoformat(stored["start"]), who
        assert visit.end == datetime.fromisoformat(stored["end"]), who
        assert str(visit["SUMMARY"]) == "Appointment", who


async def test_another_doctors_feed_does_not_show_the_visit(api: Api):
    read = await fetch(api, (await feed(api, "baker"))["url"])
    assert "VEVENT" not in read.text


async def test_each_change_raises_the_sequence_and_a_cancelled_visit_stays_as_cancelled(api: Api):
    url = (await feed(api))["url"]
    before = await event(api, url)
    path = f"/v1/appointments/{api.people.appointment_id}"
    move = {"start": (before.start + timedelta(hours=2)).isoformat()}
    assert (await api.post(api.people.reception, f"{path}/reschedule", move)).status_code == 200
    moved = await event(api, url)
    await api.post(api.people.reception, f"{path}/cancel", {})
    cancelled = await event(api, url)
    assert [e["SEQUENCE"] for e in (before, moved, cancelled)] == [0, 1, 2]
    assert {str(e["UID"]) for e in (before, moved, cancelled)} == {str(before["UID"])}
    assert [str(e["STATUS"]) for e in (before, moved, cancelled)] == [
        "CONFIRMED",
        "CONFIRMED",
        "CANCELLED",
    ]
    assert moved.start == before.start + timedelta(hours=2)


async def test_a_visit_that_never_was_meant_is_in_the_feed_as_cancelled(api: Api):
    url = (await feed(api))["url"]
    path = f"/v1/appointments/{api.people.appointment_id}/enter-in-error"
    assert (await api.post(api.people.adams, path, {})).status_code == 200
    assert str((await event(api, url))["STATUS"]) == "CANCELLED"


async def test_what_is_over_does_not_crowd_out_what_is_to_come(
    api: Api, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(feeds, "SHOWN", 3)
    url = (await feed(api))["url"]
    coming = await event(api, url)
    other = "jsonb_build_object('id', gen_random_uuid(), 'status', 'fulfilled', 'starts_at',"
    other += (
        " now() - n * interval '1 day', 'ends_at', now() - n * interval '1 day' + interval '1 h',"
    )
    other += " 'blocked_from', null, 'blocked_until', null)"
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        f"INSERT INTO appointment SELECT (jsonb_populate_record(a, {other})).*"
        " FROM appointment a, generate_series(3, 9) n"
    )
    await connection.close()
    shown = Calendar.from_ical((await fetch(api, url)).text).walk("VEVENT")
    over = sorted(round((now() - e.start) / timedelta(days=1)) for e in shown if e.start < now())
    assert (over, str(coming["UID"]) in {str(e["UID"]) for e in shown}) == ([3, 4], True)


async def test_an_unchanged_calendar_is_not_sent_again(api: Api):
    url = (await feed(api))["url"]
    tag = (await fetch(api, url)).headers["etag"]
    assert (await fetch(api, url, **{"If-None-Match": tag})).status_code == 304


async def test_every_fetch_is_on_the_trail_as_its_owners_and_the_address_is_not(
    api: Api, database_url: str
):
    url = (await feed(api, "patient"))["url"]
    before = await outbox(database_url)
    await fetch(api, url)
    (noted,) = [e for e in await outbox(database_url) if e not in before]
    assert noted["actor"] == str(api.people.patient.subject.id)
    assert noted["endpoint"] == "GET /calendars/{feed}"
    assert noted["resource_ids"] == [str(api.people.appointment_id)]


async def test_opening_and_revoking_a_feed_are_on_the_trail(api: Api, database_url: str):
    made = await feed(api)
    bearer = await api.bearer(api.people.adams) | {"If-Match": "*"}
    await api.http.delete(f"/v1/me/calendar-feeds/{made['id']}", headers=bearer)
    noted = [e for e in await outbox(database_url) if e["resource_ids"] == [made["id"]]]
    assert [e["reason"] for e in noted] == ["feed-opened", "feed-revoked"]
