"""What a record says is of its kind, and is found by its code among what one may read."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.errors import Invalid
from records.clinical.content import checked, codes_of
from records.clinical.models import RecordKind
from tests.apis import Api, serve
from tests.clinics import outbox

GOOD = {
    "note": [
        "plain words",
        {"text": "words"},
        {"subjective": "s", "objective": "o", "assessment": "a", "plan": "p"},
    ],
    "diagnosis": [
        {"code": "G43.109"},
        {"code": "e119".upper(), "display": "Type 2 diabetes", "clinical_status": "active"},
        {
            "code": {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "U07.1"},
            "onset": "2026-01-31",
        },
    ],
    "prescription": [
        {"medication": "Sumatriptan 50 mg", "dose": {"value": 50, "unit": "mg"}, "route": "oral"},
        {"medication": {"code": "313782"}, "frequency": "daily", "period": {"start": "2026-01-01"}},
    ],
    "allergy": [
        {
            "substance": "Penicillin",
            "reaction": ["hives"],
            "severity": "mild",
            "criticality": "high",
        }
    ],
    "observation": [
        {
            "code": "8867-4",
            "value": 72,
            "unit": "/min",
            "reference_range": {"low": 60, "high": 100},
        },
        {"code": "2345-7", "value": 5.4, "unit": "mmol/L", "interpretation": "N"},
        {"code": "72166-2", "value": "Never smoker"},
    ],
    "referral": ["please see", {"to": "Dr Baker", "specialty": "neurology", "reason": "aura"}],
}
BAD = [
    ("note", "", "/content"),
    ("note", {}, "/content"),
    ("note", {"text": None, "plan": None}, "/content"),
    ("note", {"soap": "x"}, "/content/soap"),
    ("note", {"text": 7}, "/content/text"),
    ("diagnosis", "migraine", "/content"),
    ("diagnosis", {}, "/content/code"),
    ("diagnosis", {"code": "G43.10Q"}, "/content/code"),
    ("diagnosis", {"code": "g43.109"}, "/content/code"),
    ("diagnosis", {"code": {"code": "ZZZ"}}, "/content/code"),
    ("diagnosis", {"code": "I10", "clinical_status": "gone"}, "/content/clinical_status"),
    ("diagnosis", {"code": "I10", "onset": "yesterday"}, "/content/onset"),
    ("diagnosis", {"code": "I10", "onset": "2026-02-01", "abatement": "2026-01-01"}, "/content"),
    ("prescription", {"dose": "1"}, "/content/medication"),
    ("prescription", {"medication": "x", "refills": -1}, "/content/refills"),
    (
        "prescription",
        {"medication": "x", "period": {"start": "2026-02-01", "end": "2026-01-01"}},
        "/content/period",
    ),
    ("allergy", {"reaction": "hives"}, "/content/substance"),
    ("allergy", {"substance": "x", "criticality": "huge"}, "/content/criticality"),
    ("observation", {"value": 1}, "/content/code"),
    ("observation", {"code": "8867-5", "value": 1}, "/content/code"),
    ("observation", {"code": "8867-4", "value": 1, "unit": "per minute"}, "/content/unit"),
    ("observation", {"code": "8867-4", "value": 1, "unit": "mg/[dL"}, "/content/unit"),
    ("observation", {"code": "8867-4", "value": 1, "unit": "mgg"}, "/content/unit"),
    ("observation", {"code": "8867-4", "value": 1, "unit": "Mmol/years"}, "/content/unit"),
    ("observation", {"code": "8867-4", "value": 1, "unit": "kg\n"}, "/content/unit"),
    ("observation", {"code": "8867-4", "value": 1, "unit": "m" + ".m" * 40}, "/content/unit"),
    ("observation", {"code": "8867-4", "value": 2**60}, "/content/value"),
    ("observation", {"code": "8867-4", "value": float("nan")}, "/content/value"),
    (
        "observation",
        {"code": "8867-4", "reference_range": {"low": 2, "high": 1}},
        "/content/reference_range",
    ),
    ("referral", {}, "/content"),
    ("referral", {"reason": None}, "/content"),
]


@pytest.mark.parametrize(("kind", "content"), [(k, c) for k, cs in GOOD.items() for c in cs])
def test_what_fits_its_kind_is_kept_as_it_was_given(kind: str, content: Any):
    assert checked(RecordKind(kind), content) == content


@pytest.mark.parametrize(
    "unit",
    [
        "%", "10*3/uL", "mm[Hg]", "{score}", "mL/min/{1.73_m2}", "m[IU]/L", "Cel", "kg.m-2", "/[HPF]",
        "ug/(kg.min)", "[lb_av]", "dar", "mmol/l",
    ],
)  # fmt: skip
def test_a_unit_of_ucum_is_kept(unit: str):
    content = {"code": "8867-4", "value": 1, "unit": unit}
    assert checked(RecordKind.OBSERVATION, content) == content


@pytest.mark.parametrize(("kind", "content", "pointer"), BAD)
def test_what_does_not_fit_its_kind_is_refused_at_its_place(kind: str, content: Any, pointer: str):
    with pytest.raises(Invalid) as refused:
        checked(RecordKind(kind), content)
    assert {e.pointer for e in refused.value.errors} == {pointer}


@pytest.mark.parametrize("value", [0, -5])
def test_a_dose_is_more_than_nothing(value: int):
    with pytest.raises(Invalid):
        checked(
            RecordKind.PRESCRIPTION, {"medication": "x", "dose": {"value": value, "unit": "mg"}}
        )


def test_a_code_is_read_in_whatever_shape_it_was_written():
    assert codes_of({"code": {"system": "s", "code": "I10", "display": "d"}}) == {"I10"}
    assert codes_of({"code": "I10"}) == {"I10"}
    assert codes_of("words") == codes_of({"text": "I10"}) == frozenset()


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def write(api: Api, kind: str, content: Any) -> httpx.Response:
    path = f"/v1/appointments/{api.people.appointment_id}/records"
    return await api.post(api.people.adams, path, {"kind": kind, "title": kind, "content": content})


async def search(api: Api, who: str = "adams", query: str = "", **wanted: Any) -> Any:
    return await api.post(getattr(api.people, who), f"/v1/records/search{query}", wanted)


async def test_the_api_refuses_a_content_without_quoting_it(api: Api):
    answer = await write(api, "diagnosis", {"code": "Xylophonia"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/content/code"
    assert "Xylophonia" not in answer.text


async def test_an_edit_and_an_amendment_are_held_to_the_kind_too(api: Api):
    made = await write(api, "diagnosis", {"code": "G43.109"})
    path = made.headers["location"]
    headers = await api.bearer(api.people.adams) | {"If-Match": 'W/"1"'}
    wrong = await api.http.patch(path, headers=headers, json={"content": {"code": "G43.999"}})
    assert wrong.status_code == 422
    right = await api.http.patch(path, headers=headers, json={"content": {"display": "Migraine"}})
    assert right.json()["content"] == {"code": "G43.109", "display": "Migraine"}
    await api.post(api.people.adams, f"{path}/sign", {})
    body = {"reason": "r", "content": {"code": None}}
    assert (await api.post(api.people.adams, f"{path}/amend", body)).status_code == 422


async def test_records_are_found_by_kind_code_and_time(api: Api):
    heart = (await write(api, "observation", {"code": "8867-4", "value": 72})).json()
    migraine = (await write(api, "diagnosis", {"code": "G43.109"})).json()
    for wanted, found in (
        ({"kind": "diagnosis"}, [migraine]),
        ({"code": "8867-4"}, [heart]),
        ({"code": "g43109", "patient_id": str(api.people.patient_id)}, [migraine]),
        ({"code": "I10"}, []),
        ({"from": heart["created_at"]}, [migraine, heart]),
        ({"from": heart["created_at"], "to": migraine["created_at"]}, [heart]),
    ):
        answer = await search(api, **wanted)
        assert [r["id"] for r in answer.json()["items"]] == [r["id"] for r in found], wanted


async def test_pages_by_code_go_on_where_they_stopped(api: Api):
    made = [(await write(api, "diagnosis", {"code": "I10"})).json()["id"] for _ in range(3)]
    first = (await search(api, query="?limit=2", code="I10")).json()
    assert [r["id"] for r in first["items"]] == made[:0:-1]
    rest = await search(api, query=f"?limit=2&cursor={first['next_cursor']}", code="I10")
    assert [r["id"] for r in rest.json()["items"]] == made[:1]
    assert rest.json()["next_cursor"] is None


async def test_a_search_finds_nothing_that_may_not_be_read(api: Api):
    await write(api, "diagnosis", {"code": "I10"})
    for who in ("baker", "nurse", "reception", "admin", "compliance", "patient"):
        assert (await search(api, who, code="I10")).json()["items"] == []
    hidden = await search(api, "baker", patient_id=str(api.people.patient_id))
    assert hidden.status_code == 404


async def test_looking_for_a_code_is_an_event_before_anything_is_opened(
    api: Api, database_url: str
):
    await write(api, "diagnosis", {"code": "I10"})
    before = len(await outbox(database_url))
    await search(api, code="E11.9")
    events = (await outbox(database_url))[before:]
    assert (events[0]["action"], events[0]["reason"]) == ("search", "by code")
    assert len(events[0]["resource_ids"]) == 2
    assert "E11" not in str(events)
