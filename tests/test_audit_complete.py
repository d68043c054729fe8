"""No route shows patients' data without an event: every GET of the API is asked, and the trail is looked at.

A route is found by its document, so that a new one is asked as well. What is asked for need not exist: a refusal and a "not
found" are events too. A route that shows nothing of any patient stands in NOT_OF_PATIENTS, or the test fails for it.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from core.ids import new_id
from tests.apis import Api, serve
from tests.clinics import outbox

# Public, about the caller alone, or about how the clinic is run.
NOT_OF_PATIENTS = (
    "/v1/me", "/v1/doctors", "/v1/services", "/v1/locations", "/v1/slots", "/v1/closures", "/v1/policies",
    "/v1/accounts", "/v1/clients", "/v1/keys", "/v1/sessions", "/v1/holidays",
)  # fmt: skip
SEARCHES = {
    "/v1/patients/search": {"identifier": "MRN-4711-QX"},
    "/v1/records/search": {"kind": "note"},
}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


def routes(api: Api, method: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in api.app.openapi()["paths"].items():
        if path.startswith("/v1/") and method in item and not path.startswith(NOT_OF_PATIENTS):
            yield path, item[method]


def known(api: Api) -> dict[str, Any]:
    people = api.people
    return {
        "patient_id": people.patient_id,
        "appointment_id": people.appointment_id,
        "record_id": people.record.id,
    }


def filled(path: str, operation: dict[str, Any], values: dict[str, Any]) -> str:
    """Return the path with a value for each parameter that must be there."""
    query = []
    for parameter in (p for p in operation.get("parameters", ()) if "name" in p):
        name, value = parameter["name"], values.get(parameter["name"], made_up(parameter["schema"]))
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", str(value))
        elif parameter["in"] == "query" and parameter.get("required"):
            query.append(f"{name}={value}")
    return path + ("?" + "&".join(query) if query else "")


def made_up(schema: dict[str, Any]) -> Any:
    kinds = {"uuid": new_id(), "date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01"}
    if schema.get("format") in kinds:
        return kinds[schema["format"]]
    return schema.get("enum", [1 if schema.get("type") == "integer" else "000"])[0]


async def noted(url: str) -> set[str]:
    return {event["request_id"] for event in await outbox(url)}


async def test_every_get_of_the_api_leaves_an_event_whether_the_thing_exists_or_not(
    api: Api, database_url: str
):
    people, asked = api.people, dict[str, tuple[str, int]]()
    bearers = [await api.bearer(who) for who in (people.adams, people.patient, people.compliance)]
    for path, operation in routes(api, "get"):
        for values in (known(api), {}):
            for bearer in bearers:
                answer = await api.http.get(filled(path, operation, values), headers=bearer)
                assert answer.status_code < 500, (path, answer.text)
                asked[answer.headers["X-Request-Id"]] = (path, answer.status_code)
    events = await noted(database_url)
    assert len(asked) > 60
    silent = sorted({asked[i] for i in asked.keys() - events})
    assert not silent, silent
    assert {status for _, status in asked.values()} <= {200, 202, 403, 404, 409, 423}


async def test_what_is_shown_of_a_patient_names_the_patient_in_its_event(
    api: Api, database_url: str
):
    people = api.people
    for path, operation in routes(api, "get"):
        if "{patient_id}" not in path:
            continue
        for who in (people.adams, people.patient):
            answer = await api.get(who, filled(path, operation, known(api)))
            if answer.status_code != 200:
                continue
            events = await outbox(database_url)
            mine = [e for e in events if e["request_id"] == answer.headers["X-Request-Id"]]
            about = {UUID(e["patient"]) for e in mine if e["patient"]}
            # A list that is empty shows nothing of anybody, and is an event all the same.
            assert about == {people.patient_id} or not answer.json().get("items", [1]), path


async def test_every_search_leaves_an_event(api: Api, database_url: str):
    for path, body in SEARCHES.items():
        answer = await api.post(api.people.adams, path, body)
        assert answer.status_code == 200, path
        assert answer.headers["X-Request-Id"] in await noted(database_url), path


def test_every_search_is_tested(api: Api):
    found = {path for path, _ in routes(api, "post") if path.endswith("/search")}
    assert found <= set(SEARCHES)
