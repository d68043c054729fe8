"""Who reads what is labelled: cleared for the confidentiality and for every category, or its author."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from policies.clearance import cleared
from policies.vocabulary import Role
from records.access.models import CareTeam
from tests.apis import Api, serve
from tests.clinics import slip_in


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """Baker and the nurse are in the patient's care team, so that only labels keep them out."""
    async with serve(database_url, tmp_path) as api:
        patient_id, people = api.people.patient_id, api.people
        doctor, nurse = people.baker.subject.doctor_id, people.nurse.subject.id
        await slip_in(
            api.clinic,
            CareTeam(patient_id=patient_id, doctor_id=doctor),
            CareTeam(patient_id=patient_id, account_id=nurse),
        )
        yield api


async def labelled(api: Api, sensitivity: str = "N", *categories: str, kind: str = "note") -> str:
    """Return the path of a record that Adams has written and signed under these labels."""
    body = {"kind": kind, "title": "t", "content": "words"}
    body |= {"sensitivity": sensitivity, "categories": list(categories)}
    path = f"/v1/appointments/{api.people.appointment_id}/records"
    made = await api.post(api.people.adams, path, body)
    assert made.status_code == 201, made.text
    await api.post(api.people.adams, f"{made.headers['location']}/sign", {})
    return made.headers["location"]


async def clear(api: Api, who: str, *clearances: str) -> None:
    me = getattr(api.people, who)
    path = f"/v1/accounts/{me.subject.id}"
    read = await api.get(api.people.admin, path)
    headers = await api.bearer(api.people.admin) | {"If-Match": read.headers["etag"]}
    changed = await api.http.patch(path, headers=headers, json={"clearances": list(clearances)})
    assert changed.json()["clearances"] == list(clearances)


async def status(api: Api, who: str, path: str) -> int:
    return (await api.get(getattr(api.people, who), path)).status_code


async def test_a_category_hides_from_whoever_is_not_cleared_for_it(api: Api):
    path = await labelled(api, "N", "PSY")
    assert await status(api, "baker", path) == 404
    await clear(api, "baker", "V", "PSY")
    assert await status(api, "baker", path) == 200


async def test_every_category_must_be_held_and_the_confidentiality_too(api: Api):
    path = await labelled(api, "R", "HIV", "SUD")
    for held in (("R", "HIV"), ("V", "SUD"), ("N", "HIV", "SUD"), ("HIV", "SUD")):
        await clear(api, "baker", *held)
        assert await status(api, "baker", path) == 404, held
    await clear(api, "baker", "R", "HIV", "SUD", "PSY")
    assert await status(api, "baker", path) == 200


async def test_the_author_reads_whatever_the_label(api: Api):
    path = await labelled(api, "V", "PSY", "HIV", "ETH", "SUD", "SEX")
    await clear(api, "adams", "N")
    assert await status(api, "adams", path) == 200


async def test_a_clearance_opens_no_chart_by_itself(api: Api):
    path = await labelled(api, "R", "PSY")
    for who in ("reception", "compliance", "admin"):
        if who != "admin":
            await clear(api, who, "V", "PSY")
        assert await status(api, who, path) == 404


async def test_a_nurse_reads_what_is_normal_until_cleared_for_more(api: Api):
    normal, restricted = await labelled(api), await labelled(api, "R")
    assert await status(api, "nurse", normal) == 200
    assert await status(api, "nurse", restricted) == 404
    await clear(api, "nurse", "R")
    assert await status(api, "nurse", restricted) == 200


async def test_psychotherapy_notes_are_their_authors_alone(api: Api):
    path = await labelled(api, "V", "PSY")
    await clear(api, "baker", "V", "PSY")
    assert await status(api, "baker", path) == 404
    assert await status(api, "adams", path) == 200


async def test_a_list_does_not_say_how_much_it_leaves_out(api: Api):
    shown = await labelled(api)
    for _ in range(3):
        await labelled(api, "R", "PSY")
    listed = await api.get(api.people.baker, f"/v1/patients/{api.people.patient_id}/records")
    assert [r["id"] for r in listed.json()["items"]] == [shown.rpartition("/")[2]]
    assert set(listed.json()) == {"items", "next_cursor"}


async def test_raising_a_label_hides_the_old_versions_too(api: Api):
    path = await labelled(api)
    assert await status(api, "baker", f"{path}/versions/2") == 200
    body = {"reason": "mislabelled", "categories": ["HIV"]}
    assert (await api.post(api.people.adams, f"{path}/amend", body)).status_code == 200
    for tail in ("", "/versions", "/versions/1", "/versions/2", "/versions/3"):
        assert await status(api, "baker", path + tail) == 404


async def test_a_label_is_a_word_of_the_vocabulary(api: Api):
    for labels in [{"sensitivity": "L"}, {"categories": ["PSI"]}]:
        path = f"/v1/appointments/{api.people.appointment_id}/records"
        body = {"kind": "note", "title": "t", "content": "words"} | labels
        assert (await api.post(api.people.adams, path, body)).status_code == 422, labels


def test_a_higher_confidentiality_includes_the_lower_and_no_category_is_usual():
    assert cleared([Role.DOCTOR], None) == {"N", "R", "V"}
    assert cleared([Role.NURSE], None) == {"N"}
    assert cleared([Role.NURSE], ["R", "PSY"]) == {"N", "R", "PSY"}
    assert cleared([Role.DOCTOR], []) == {"N"}
