"""One person registered twice: found, joined so that both charts are one, and parted without loss."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from core.clock import now
from core.ids import new_id
from records.compliance.alerts import look
from tests.apis import Api, serve
from tests.clinics import outbox
from tests.sealing import drain

TWIN = {
    "name": {"family": "Quilfether", "given": "Philippa"},
    "birth_date": "1971-03-09",
    "sex": "female",
    "phone": "+1 555 010 7788",
    "identifiers": [{"system": "http://clinic.example/mrn", "value": "TWIN-1", "type": "MR"}],
}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


@pytest.fixture
async def twin(api: Api) -> str:
    return await registered(api, {})


async def registered(api: Api, change: dict) -> str:
    made = await api.post(api.people.reception, "/v1/patients", TWIN | change)
    assert made.status_code == 201
    return made.json()["id"]


async def joined(api: Api, patient: Any, into: Any) -> None:
    answer = await api.post(
        api.people.reception, f"/v1/patients/{patient}/merge", {"into": str(into)}
    )
    assert answer.status_code == 200, answer.text


async def seen(api: Api, patient: Any) -> list[Any]:
    """Return everything that everybody is shown of a patient."""
    shown = []
    for who in ("reception", "adams", "baker", "patient", "nurse"):
        for tail in ("", "/appointments", "/records", "/coverages", "/versions"):
            answer = await api.get(getattr(api.people, who), f"/v1/patients/{patient}{tail}")
            body = {k: v for k, v in answer.json().items() if k not in ("instance", "request_id")}
            shown.append((who, tail, answer.status_code, body))
    return shown


async def visit(api: Api, patient: Any, doctor: Any, days: int) -> str:
    body = {
        "patient_id": str(patient),
        "doctor_id": str(doctor.subject.doctor_id),
        "start": (now() + timedelta(days=days)).isoformat(),
    }
    answer = await api.post(api.people.reception, "/v1/appointments", body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def test_only_who_may_join_files_does_and_hidden_ones_are_absent(api: Api, twin: str):
    mine = api.people.patient_id
    for who, status in {"adams": 404, "baker": 404, "patient": 404, "compliance": 404}.items():
        me = getattr(api.people, who)
        for tail, body in (("merge", {"into": str(mine)}), ("distinct", {"patient_id": str(mine)})):
            answer = await api.post(me, f"/v1/patients/{twin}/{tail}", body)
            assert answer.status_code == status, (who, tail)
    assert (await api.get(api.people.adams, f"/v1/patients/{mine}/duplicates")).status_code == 403
    assert (await api.get(api.people.baker, f"/v1/patients/{mine}/duplicates")).status_code == 404


async def test_what_cannot_be_joined_or_parted_is_refused(api: Api, twin: str):
    desk, mine = api.people.reception, str(api.people.patient_id)
    for patient, into, status in (
        (mine, mine, 422),
        (mine, str(new_id()), 404),
        (new_id(), mine, 404),
    ):
        answer = await api.post(desk, f"/v1/patients/{patient}/merge", {"into": into})
        assert answer.status_code == status
    answer = await api.post(desk, f"/v1/patients/{twin}/unmerge", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "not-merged")
    await joined(api, twin, mine)
    for patient, into in ((twin, mine), (mine, twin)):
        answer = await api.post(desk, f"/v1/patients/{patient}/merge", {"into": into})
        assert (answer.status_code, answer.json()["code"]) == (409, "patient-merged")


async def test_likely_duplicates_are_told_with_what_speaks_for_them(api: Api, twin: str):
    mine, desk = api.people.patient_id, api.people.reception
    same = {"name": {"family": "Quillfeather", "given": ["Philippa", "Jane"]}}
    certain = await registered(api, same | {"identifiers": []})
    apart = {"phone": None, "identifiers": [], "name": {"family": "Quillfeather", "given": "Paul"}}
    possible = await registered(api, apart)
    await registered(api, apart | {"name": {"family": "Other", "given": "Philippa"}})
    found = (await api.get(desk, f"/v1/patients/{mine}/duplicates")).json()["items"]
    assert [(d["patient"]["id"], d["likeness"]) for d in found] == [
        (certain, "certain"),
        (twin, "probable"),
        (possible, "possible"),
    ]
    assert {"sound", "birth_date", "phone"} <= set(found[1]["evidence"])
    assert "family" not in found[1]["evidence"]


async def test_who_was_found_to_be_another_person_is_no_duplicate_any_more(api: Api, twin: str):
    mine, desk = api.people.patient_id, api.people.reception
    path = f"/v1/patients/{mine}"
    said = await api.post(desk, f"{path}/distinct", {"patient_id": twin})
    assert said.status_code == 200
    for patient in (mine, twin):
        assert (await api.get(desk, f"/v1/patients/{patient}/duplicates")).json()["items"] == []
    refused = await api.post(desk, f"/v1/patients/{twin}/merge", {"into": str(mine)})
    assert (refused.status_code, refused.json()["code"]) == (409, "patients-distinct")
    await api.post(desk, f"{path}/distinct", {"patient_id": twin, "distinct": False})
    assert len((await api.get(desk, f"{path}/duplicates")).json()["items"]) == 1


async def test_two_people_stay_two_when_one_of_them_is_joined_to_a_third(api: Api, twin: str):
    mine, desk = api.people.patient_id, api.people.reception
    third = await registered(api, {"identifiers": []})
    await api.post(desk, f"/v1/patients/{mine}/distinct", {"patient_id": twin})
    await joined(api, twin, third)
    refused = await api.post(desk, f"/v1/patients/{third}/merge", {"into": str(mine)})
    assert (refused.status_code, refused.json()["code"]) == (409, "patients-distinct")
    for patient in (mine, third):
        assert (await api.get(desk, f"/v1/patients/{patient}/duplicates")).json()["items"] == []
    back = {"patient_id": third, "distinct": False}
    assert (await api.post(desk, f"/v1/patients/{mine}/distinct", back)).status_code == 200
    await joined(api, third, mine)


async def test_two_charts_are_read_as_one_under_both_ids(api: Api, twin: str):
    people, desk, mine = api.people, api.people.reception, str(api.people.patient_id)
    baker_visit = await visit(api, twin, people.baker, 3)
    path = f"/v1/appointments/{baker_visit}/records"
    note = await api.post(
        people.baker, path, {"kind": "note", "title": "x", "content": {"text": "y"}}
    )
    assert note.status_code == 201, note.text
    assert (await api.get(people.baker, f"/v1/patients/{mine}")).status_code == 404
    harbor = {"payor": "Harbor Mutual"}
    assert (await api.post(desk, f"/v1/patients/{twin}/coverages", harbor)).status_code == 201
    await joined(api, twin, mine)
    for patient in (twin, mine):
        read = await api.get(desk, f"/v1/patients/{patient}")
        assert (read.status_code, read.json()["id"]) == (200, mine)
        assert {i["value"] for i in read.json()["identifiers"]} == {"MRN-4711-QX", "TWIN-1"}
        for who in (people.adams, people.baker):
            assert (await api.get(who, f"/v1/patients/{patient}")).json()["id"] == mine
        visits = (await api.get(desk, f"/v1/patients/{patient}/appointments")).json()["items"]
        assert {v["id"] for v in visits} == {baker_visit, str(people.appointment_id)}
        covers = (await api.get(desk, f"/v1/patients/{patient}/coverages")).json()["items"]
        assert [c["payor"] for c in covers] == ["Harbor Mutual"]
    assert (await api.get(people.patient, f"/v1/patients/{mine}")).status_code == 200
    listed = (await api.get(people.patient, f"/v1/patients/{mine}/appointments")).json()["items"]
    assert {v["id"] for v in listed} == {baker_visit, str(people.appointment_id)}
    drafts = (await api.get(people.baker, f"/v1/patients/{mine}/records")).json()["items"]
    assert [r["id"] for r in drafts] == [note.json()["id"]]


async def test_the_replaced_id_is_written_through_to_the_survivor(api: Api, twin: str):
    people, desk, mine = api.people, api.people.reception, str(api.people.patient_id)
    await joined(api, twin, mine)
    changed = await api.patch(desk, f"/v1/patients/{twin}", {"language": "cy"}, 'W/"1"')
    assert (changed.status_code, changed.json()["id"]) == (200, mine)
    booked = await api.get(desk, f"/v1/appointments/{await visit(api, twin, people.baker, 4)}")
    assert booked.json()["patient_id"] == mine
    cover = await api.post(desk, f"/v1/patients/{twin}/coverages", {"payor": "Bay Health"})
    assert cover.headers["location"].startswith(f"/v1/patients/{mine}/")
    listed = (await api.get(desk, "/v1/patients?limit=100")).json()["items"]
    assert [p["id"] for p in listed] == [mine]


async def test_a_search_for_the_replaced_one_finds_the_survivor(api: Api, twin: str):
    await joined(api, twin, api.people.patient_id)
    for body in ({"identifier": "TWIN-1"}, {"family": "Quilfether"}, {"phone": TWIN["phone"]}):
        found = await api.post(api.people.reception, "/v1/patients/search", body)
        assert [p["id"] for p in found.json()["items"]] == [str(api.people.patient_id)], body


async def test_parting_restores_what_everybody_saw_of_both(api: Api, twin: str):
    mine = api.people.patient_id
    await visit(api, twin, api.people.baker, 3)
    before = [await seen(api, patient) for patient in (mine, twin)]
    await joined(api, twin, mine)
    assert [await seen(api, patient) for patient in (mine, twin)] != before
    parted = await api.post(api.people.reception, f"/v1/patients/{twin}/unmerge", {})
    assert parted.status_code == 200
    assert parted.json()["undone_by"] == str(api.people.reception.subject.id)
    assert [await seen(api, patient) for patient in (mine, twin)] == before
    history = (await api.get(api.people.reception, f"/v1/patients/{twin}/merges")).json()["items"]
    assert history == [parted.json()]


async def test_what_stood_under_the_replaced_id_engages_the_survivor(api: Api, twin: str):
    desk, mine, adams, baker = api.people.reception, str(api.people.patient_id), *doctors(api)
    start = (now() + timedelta(days=40)).replace(minute=0, second=0, microsecond=0)
    there = {"patient_id": twin, "doctor_id": adams, "start": start.isoformat()}
    old = (await api.post(desk, "/v1/appointments", there)).json()["id"]
    await joined(api, twin, mine)
    for patient in (mine, twin):
        body = there | {"patient_id": patient, "doctor_id": baker}
        refused = await api.post(desk, "/v1/appointments", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "slot-taken")
    other = there | {"patient_id": mine, "start": (start + timedelta(hours=3)).isoformat()}
    made = await api.post(desk, "/v1/appointments", other | {"doctor_id": baker})
    assert made.status_code == 201
    moves = {old: other["start"], made.json()["id"]: there["start"]}
    for visit_id, to in moves.items():
        path = f"/v1/appointments/{visit_id}/reschedule"
        refused = await api.post(desk, path, {"start": to})
        assert (refused.status_code, refused.json()["code"]) == (409, "slot-taken")


MOVE = """UPDATE appointment SET starts_at = $2, ends_at = $2::timestamptz + interval '30 min',
    blocked_from = NULL, blocked_until = NULL WHERE id = $1"""
TWICE = """SELECT count(*) FROM appointment a JOIN appointment b ON a.id < b.id AND a.person_id = b.person_id
    AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at AND a.status = 'booked' AND b.status = 'booked'"""


async def test_no_statement_puts_a_person_in_two_places_under_two_ids(
    api: Api, twin: str, database_url: str
):
    old = await visit(api, twin, api.people.baker, 3)
    await joined(api, twin, api.people.patient_id)
    connection = await asyncpg.connect(database_url)
    there = "SELECT starts_at FROM appointment WHERE id = $1"
    start = await connection.fetchval(there, await visit(api, twin, api.people.adams, 5))
    with pytest.raises(asyncpg.ExclusionViolationError) as refusal:
        await connection.execute(MOVE, UUID(old), start)
    assert refusal.value.constraint_name == "patient_taken"
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await connection.execute("UPDATE appointment SET person_id = patient_id")
    await connection.close()


async def test_who_has_two_visits_at_one_time_is_not_joined_before_one_is_gone(api: Api, twin: str):
    desk, mine, (adams, baker) = api.people.reception, str(api.people.patient_id), doctors(api)
    when = {"start": (now() + timedelta(days=9)).isoformat()}
    made = [
        await api.post(desk, "/v1/appointments", when | {"patient_id": who, "doctor_id": doctor})
        for who, doctor in ((twin, adams), (mine, baker))
    ]
    path, into = f"/v1/patients/{twin}/merge", {"into": mine}
    refused = await api.post(desk, path, into)
    assert (refused.status_code, refused.json()["code"]) == (409, "visits-overlap")
    assert (await api.get(desk, f"/v1/patients/{twin}")).json()["id"] == twin
    await api.post(desk, f"/v1/appointments/{made[0].json()['id']}/cancel", {})
    await joined(api, twin, mine)
    undone = await api.post(desk, f"/v1/appointments/{made[0].json()['id']}/undo", {})
    assert (undone.status_code, undone.json()["code"]) == (409, "slot-taken")


async def test_however_moves_bookings_and_joinings_meet_nobody_is_in_two_places(
    api: Api, twin: str, database_url: str
):
    desk, mine, (_, baker) = api.people.reception, str(api.people.patient_id), doctors(api)
    old = await visit(api, twin, api.people.adams, 3)
    connection, join = await asyncpg.connect(database_url), f"/v1/patients/{twin}"
    for race in range(6):
        when = {"start": (now() + timedelta(days=20 + race)).isoformat()}
        met = await asyncio.gather(
            api.post(desk, f"/v1/appointments/{old}/reschedule", when),
            api.post(desk, "/v1/appointments", when | {"patient_id": mine, "doctor_id": baker}),
            api.post(desk, "/v1/appointments", when | {"patient_id": twin, "doctor_id": baker}),
            api.post(desk, f"{join}/unmerge" if race % 2 else f"{join}/merge", {"into": mine} if race % 2 == 0 else {}),
        )  # fmt: skip
        assert {answer.status_code for answer in met} <= {200, 201, 409}, [a.text for a in met]
        assert await connection.fetchval(TWICE) == 0
    await connection.close()


async def test_a_booking_waits_for_a_joining_before_it_is_in_its_way(
    api: Api, twin: str, database_url: str
):
    desk, mine, (adams, baker) = api.people.reception, api.people.patient_id, doctors(api)
    when = {"start": (now() + timedelta(days=9)).isoformat()}
    theirs = when | {"patient_id": twin, "doctor_id": adams}
    assert (await api.post(desk, "/v1/appointments", theirs)).status_code == 201
    body = when | {"patient_id": str(mine), "doctor_id": baker}
    refused = await behind_joining(
        database_url, api.post(desk, "/v1/appointments", body), twin, mine
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "slot-taken")


async def behind_joining(url: str, act: Coroutine[Any, Any, Any], twin: str, into: UUID) -> Any:
    """Return what comes of an act that is waiting for a patient when that patient is joined to another."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    joining = await asyncpg.connect(url)
    async with joining.transaction():
        await joining.execute("SET LOCAL lock_timeout = '500ms'")
        await joining.execute("SELECT FROM patient ORDER BY id FOR UPDATE")
        acting = asyncio.create_task(act)
        while not await joining.fetchval(waiting):  # noqa: ASYNC110 - a row, no event of this loop
            await asyncio.sleep(0.02)
        await joining.execute("UPDATE patient SET replaced_by = $1 WHERE id = $2", into, UUID(twin))
    await joining.close()
    return await acting


async def test_a_hold_that_waits_for_a_joining_finds_its_patient(
    api: Api, twin: str, database_url: str
):
    hold = f"/v1/patients/{twin}/legal-hold"
    placing = api.post(api.people.compliance, hold, {"reference": "C-1"})
    placed = await behind_joining(database_url, placing, twin, api.people.patient_id)
    assert placed.status_code == 201, placed.text


async def test_a_freed_time_is_not_offered_to_who_is_elsewhere_under_another_id(
    api: Api, twin: str
):
    desk, mine, (adams, baker) = api.people.reception, str(api.people.patient_id), doctors(api)
    other = await registered(
        api, {"name": {"family": "Oddfellow", "given": "N"}, "identifiers": []}
    )
    start = (now() + timedelta(days=40)).replace(minute=0, second=0, microsecond=0)
    when = {"start": start.isoformat()}
    wish = {
        "patient_id": twin,
        "doctor_ids": [adams],
        "latest": (start + timedelta(days=1)).isoformat(),
    }
    assert (await api.post(desk, "/v1/waitlist", wish)).status_code == 201
    busy = when | {"patient_id": mine, "doctor_id": baker}
    assert (await api.post(desk, "/v1/appointments", busy)).status_code == 201
    freed = await api.post(
        desk, "/v1/appointments", when | {"patient_id": other, "doctor_id": adams}
    )
    await joined(api, twin, mine)
    await api.post(desk, f"/v1/appointments/{freed.json()['id']}/cancel", {})
    waiting = (await api.get(desk, "/v1/waitlist")).json()["items"]
    assert [entry["status"] for entry in waiting] == ["waiting"]


async def test_who_waits_under_the_replaced_id_waits_as_the_survivor(api: Api, twin: str):
    await joined(api, twin, api.people.patient_id)
    made = await api.post(api.people.reception, "/v1/waitlist", {"patient_id": twin})
    assert (made.status_code, made.json()["patient_id"]) == (201, str(api.people.patient_id))


async def test_an_entry_and_a_hold_of_either_file_are_the_persons(api: Api, twin: str):
    people, mine, (_, baker) = api.people, str(api.people.patient_id), doctors(api)
    made = await api.post(people.reception, "/v1/waitlist", {"patient_id": twin})
    assert (await api.get(people.patient, "/v1/waitlist")).json()["items"] == []
    await joined(api, twin, mine)
    (entry,) = (await api.get(people.patient, "/v1/waitlist")).json()["items"]
    assert entry["id"] == made.json()["id"]
    slot = {"doctor_id": baker, "start": (now() + timedelta(days=12)).isoformat()}
    held = await api.post(people.reception, "/v1/holds", slot | {"patient_id": mine})
    body = slot | {"patient_id": twin, "hold_id": held.json()["id"]}
    booked = await api.post(people.reception, "/v1/appointments", body)
    assert (booked.status_code, booked.json()["patient_id"]) == (201, mine), booked.text


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("care-team", {}),
        ("consents", {"decision": "deny", "category": "HIV"}),
        ("proxies", {"relationship": "guardian"}),
    ],
)
async def test_what_was_laid_down_for_either_file_is_listed_and_ended_by_either_id(
    api: Api, twin: str, kind: str, body: dict
):
    people, mine = api.people, str(api.people.patient_id)
    if kind != "consents":
        body = body | {"account_id": str(people.baker.subject.id)}
    before = (await api.get(people.reception, f"/v1/patients/{mine}/{kind}")).json()["items"]
    made = await api.post(people.reception, f"/v1/patients/{twin}/{kind}", body)
    assert made.status_code == 201, made.text
    await joined(api, twin, mine)
    for patient in (mine, twin):
        found = (await api.get(people.reception, f"/v1/patients/{patient}/{kind}")).json()["items"]
        assert {e["id"] for e in found} == {e["id"] for e in (*before, made.json())}
    path = f"/v1/patients/{mine}/{kind}/{made.json()['id']}"
    if kind == "consents":
        ended = await api.post(people.reception, f"{path}/revoke", {})
    else:
        ended = await api.http.delete(path, headers=await api.bearer(people.reception))
    assert ended.status_code in (200, 204), ended.text


async def test_the_glass_is_broken_by_either_id(api: Api, twin: str):
    await joined(api, twin, api.people.patient_id)
    body = {"patient_id": twin, "reason_code": "emergency", "explanation": "Found unconscious"}
    grant = await api.post(api.people.baker, "/v1/break-glass", body)
    assert (grant.status_code, grant.json()["patient_id"]) == (201, str(api.people.patient_id))
    chart = await api.get(api.people.baker, f"/v1/patients/{twin}")
    assert (chart.status_code, chart.json()["id"]) == (200, str(api.people.patient_id))


async def test_whoever_says_that_an_emergency_is_over_has_no_other_grant_left(api: Api, twin: str):
    mine, baker = str(api.people.patient_id), api.people.baker
    body = {"reason_code": "emergency", "explanation": "Found unconscious"}
    for patient in (twin, mine):
        grant = await api.post(baker, "/v1/break-glass", body | {"patient_id": patient})
        assert grant.status_code == 201
    await joined(api, twin, mine)
    ended = await api.post(baker, f"/v1/break-glass/{grant.json()['id']}/end", None)
    assert ended.status_code == 204
    for patient in (twin, mine):
        assert (await api.get(baker, f"/v1/patients/{patient}")).status_code == 404


async def test_records_of_both_files_are_found_by_either_id(api: Api, twin: str):
    mine = str(api.people.patient_id)
    there = await visit(api, twin, api.people.adams, 3)
    note = {"kind": "note", "title": "Elsewhere", "content": {"text": "Allergic"}}
    made = await api.post(api.people.adams, f"/v1/appointments/{there}/records", note)
    assert made.status_code == 201, made.text
    await joined(api, twin, mine)
    for patient in (mine, twin):
        found = await api.post(api.people.adams, "/v1/records/search", {"patient_id": patient})
        ids = {each["id"] for each in found.json()["items"]}
        assert {made.json()["id"], str(api.people.record.id)} <= ids


def doctors(api: Api) -> list[str]:
    return [str(d.subject.doctor_id) for d in (api.people.adams, api.people.baker)]


async def test_a_merged_patient_may_be_joined_on_and_parted_in_any_order(api: Api, twin: str):
    desk, mine = api.people.reception, str(api.people.patient_id)
    third = await registered(api, {"identifiers": []})
    await joined(api, third, twin)
    await joined(api, twin, mine)

    async def read(patient: str) -> str:
        return (await api.get(desk, f"/v1/patients/{patient}")).json()["id"]

    assert [await read(p) for p in (third, twin, mine)] == [mine, mine, mine]
    await api.post(desk, f"/v1/patients/{twin}/unmerge", {})
    assert [await read(p) for p in (third, twin, mine)] == [twin, twin, mine]
    await joined(api, twin, mine)
    await api.post(desk, f"/v1/patients/{third}/unmerge", {})
    assert [await read(p) for p in (third, twin, mine)] == [third, mine, mine]
    numbers = (await api.get(desk, f"/v1/patients/{mine}")).json()["identifiers"]
    assert {i["value"] for i in numbers} == {"MRN-4711-QX", "TWIN-1"}


async def test_of_many_who_part_two_files_at_once_one_does(api: Api, twin: str):
    await joined(api, twin, api.people.patient_id)
    path = f"/v1/patients/{twin}/unmerge"
    answers = await asyncio.gather(*(api.post(api.people.reception, path, {}) for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409]


async def test_joining_is_an_event_of_both_patients(api: Api, twin: str, database_url: str):
    await joined(api, twin, api.people.patient_id)
    events = [e for e in await outbox(database_url) if e["action"] == "merge"]
    assert {e["patient"] for e in events} == {twin, str(api.people.patient_id)}


async def test_who_saw_either_file_and_to_whom_it_went_is_told_of_the_person(
    api: Api, twin: str, database_url: str
):
    mine, people = str(api.people.patient_id), api.people
    await api.get(people.reception, f"/v1/patients/{twin}")
    given = {
        "purpose": "public-health",
        "disclosed_at": now().isoformat(),
        "recipient": {"name": "County Health Office"},
        "description": "A laboratory result",
    }
    told = await api.post(people.compliance, f"/v1/patients/{twin}/disclosures", given)
    assert told.status_code == 201, told.text
    await joined(api, twin, mine)
    await drain(database_url)
    for either in (mine, twin):
        report = await api.get(people.patient, f"/v1/patients/{either}/access-report?limit=100")
        shown = {each["event_id"]: each["resource_ids"] for each in report.json()["items"]}
        assert [twin] in shown.values()
        (went,) = (await api.get(people.patient, f"/v1/patients/{either}/disclosures")).json()[
            "items"
        ]
        assert went["recipient"]["name"] == "County Health Office"
    await api.post(people.reception, f"/v1/patients/{twin}/unmerge", {})
    for tail in ("access-report", "disclosures"):
        assert (await api.get(people.patient, f"/v1/patients/{twin}/{tail}")).status_code == 404


async def test_a_watch_on_one_file_is_one_on_the_person(api: Api, twin: str, database_url: str):
    people, watched = api.people, "/v1/audit/watched"
    body = {"patient_id": twin, "reason": "employee"}
    assert (await api.post(people.compliance, watched, body)).status_code == 201
    await joined(api, twin, people.patient_id)
    await api.get(people.adams, f"/v1/patients/{people.patient_id}")
    await drain(database_url)
    await look(api.clinic.database)
    found = (await api.get(people.compliance, "/v1/audit/alerts?rule=R4")).json()["items"]
    assert str(people.adams.subject.id) in {alert["actor"] for alert in found}
    release = f"{watched}/{people.patient_id}/release"
    assert (await api.post(people.compliance, release, {})).status_code == 204
    assert (await api.get(people.compliance, watched)).json()["items"] == []


async def test_the_account_of_a_replaced_patient_sees_the_survivor(api: Api, twin: str):
    mine = str(api.people.patient_id)
    await joined(api, mine, twin)
    read = await api.get(api.people.patient, f"/v1/patients/{mine}")
    assert (read.status_code, read.json()["id"]) == (200, twin)
    visits = (await api.get(api.people.patient, f"/v1/patients/{twin}/appointments")).json()
    assert [v["id"] for v in visits["items"]] == [str(api.people.appointment_id)]
    await api.post(api.people.reception, f"/v1/patients/{mine}/unmerge", {})
    assert (await api.get(api.people.patient, f"/v1/patients/{twin}")).status_code == 404
    assert (await api.get(api.people.patient, f"/v1/patients/{mine}")).json()["id"] == mine


async def test_whoever_has_two_files_is_erased_in_both(api: Api, twin: str):
    mine, people = str(api.people.patient_id), api.people
    await joined(api, twin, mine)
    for who, patient, status in ((people.admin, twin, 202), (people.compliance, mine, 200)):
        body = {"reason": "patient-request"}
        done = await api.post(who, f"/v1/patients/{patient}/erasure", body)
        assert done.status_code == status
    for patient in (mine, twin):
        assert (await api.get(people.reception, f"/v1/patients/{patient}")).status_code == 410
    found = await api.post(people.reception, "/v1/patients/search", {"identifier": "TWIN-1"})
    assert found.json()["items"] == []
    other = await registered(api, {"identifiers": []})
    for patient, into in ((other, mine), (twin, other), (mine, other)):
        answer = await api.post(people.reception, f"/v1/patients/{patient}/merge", {"into": into})
        assert answer.status_code == 409, answer.text
    assert (await api.get(people.reception, f"/v1/patients/{other}")).status_code == 200


async def test_a_legal_hold_on_one_file_keeps_both_and_is_lifted_by_either_id(api: Api, twin: str):
    mine, people = str(api.people.patient_id), api.people
    await joined(api, twin, mine)
    hold = await api.post(
        people.compliance, f"/v1/patients/{twin}/legal-hold", {"reference": "C-1"}
    )
    assert hold.is_success, hold.text
    body = {"reason": "patient-request"}
    assert (await api.post(people.admin, f"/v1/patients/{mine}/erasure", body)).status_code == 423
    headers = await api.bearer(people.compliance)
    lifted = await api.http.delete(f"/v1/patients/{mine}/legal-hold", headers=headers)
    assert lifted.status_code == 204
    assert (await api.post(people.admin, f"/v1/patients/{twin}/erasure", body)).status_code == 202
