"""No route shows what its caller may not see. The routes are read off the OpenAPI document, so a new one is in by itself.

Which of the three central things each may read is written down here; `test_idor.py` asks for every id with every method.
"""

import base64
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from core.ids import new_id
from policies.enforcer import PolicySnapshot
from policies.facts import Subject
from policies.rules import defaults
from policies.vocabulary import Role
from records.access.me import Me
from records.access.models import CareTeam
from records.base import add
from records.people.registration import register
from tests.apis import Api, serve
from tests.clinics import DETAILS, _account, me_as

ABOUT_ONESELF = "/v1/me"
OF_THE_TRAIL = ("/v1/patients/{patient_id}/access-report", "/v1/patients/{patient_id}/disclosures")
"""Who saw a file: for those who check, though they may not see the file."""
NUMBERED = {"number": "1", "version": "1", "level": "0", "path": "000"}
# patient, appointment, record (a draft of Dr Adams): o reads it, - does not.
EXPECTED = {
    "patient_self": "oo-",
    "patient_other": "---",
    "nurse_in_team": "oo-",
    "nurse_elsewhere": "---",
    "doctor_treating": "ooo",
    "doctor_elsewhere": "---",
    "receptionist": "oo-",
    "admin": "---",
    "compliance": "---",
}
CENTRAL = ("/v1/patients/{patient_id}", "/v1/appointments/{appointment_id}", "/v1/records/{record_id}")  # fmt: skip


@dataclass
class Matrix:
    """Everybody who may ask, and the id of something that is there for each name in a path."""

    api: Api
    principals: dict[str, Me]
    there: dict[str, str] = field(default_factory=dict)
    bearers: dict[str, dict[str, str]] = field(default_factory=lambda: {"anonymous": {}})

    async def ask(self, who: str, path: str) -> httpx.Response:
        if who not in self.bearers:
            self.bearers[who] = await self.api.bearer(self.principals[who])
        return await self.api.http.get(path, headers=self.bearers[who])


@pytest.fixture
async def matrix(database_url: str, tmp_path: Path) -> AsyncIterator[Matrix]:
    async with serve(database_url, tmp_path) as api:
        yield await _fill(api)


async def _fill(api: Api) -> Matrix:
    people, clinic = api.people, api.clinic
    team = await _account(clinic, "team.nurse", Role.NURSE)
    async with clinic.database.transaction() as session:
        await add(session, CareTeam(patient_id=people.patient_id, account_id=team.subject.id))
        other = await register(session, clinic, people.reception, DETAILS)
    stranger = await _account(clinic, "stranger", Role.PATIENT)
    connection = await clinic.database.engine.connect()
    await connection.exec_driver_sql(
        f"UPDATE account SET patient_id = '{other.patient_id}' WHERE id = '{stranger.subject.id}'"
    )
    await connection.commit()
    await connection.close()
    subject = Subject(stranger.subject.id, stranger.subject.roles, None, other.patient_id)
    principals = {
        "patient_self": people.patient,
        "patient_other": me_as(subject),
        "nurse_in_team": team,
        "nurse_elsewhere": people.nurse,
        "doctor_treating": people.adams,
        "doctor_elsewhere": people.baker,
        "receptionist": people.reception,
        "admin": people.admin,
        "compliance": people.compliance,
    }
    there = {
        "patient_id": str(people.patient_id),
        "appointment_id": str(people.appointment_id),
        "record_id": str(people.record.id),
        "doctor_id": str(people.adams.subject.doctor_id),
        "account_id": str(people.adams.subject.id),
    }
    return Matrix(api, principals, there)


def routes(api: Api) -> Iterator[str]:
    """Yield the path of every GET with an id in it."""
    for path, item in api.app.openapi()["paths"].items():
        if "get" in item and "{" in path and path.startswith("/v1/"):
            yield path


def filled(path: str, ids: dict[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda m: NUMBERED.get(m[1]) or ids.get(m[1]) or str(new_id()), path)


async def test_who_reads_what_is_written_down(matrix: Matrix):
    for who, expected in EXPECTED.items():
        for path, mark in zip(CENTRAL, expected, strict=True):
            answer = await matrix.ask(who, filled(path, matrix.there))
            assert answer.status_code == (200 if mark == "o" else 404), (who, path)


async def test_what_hangs_on_a_hidden_thing_is_hidden_with_it(matrix: Matrix):
    """A record's versions, a visit's history, a patient's coverages: none is wider than what it hangs on."""
    for who, expected in EXPECTED.items():
        hidden = {c for c, mark in zip(CENTRAL, expected, strict=True) if mark == "-"}
        for path in routes(matrix.api):
            if path.startswith(OF_THE_TRAIL) and who == "compliance":
                continue
            if any(path.startswith(c + "/") for c in hidden):
                answer = await matrix.ask(who, filled(path, matrix.there))
                assert answer.status_code in (403, 404), (who, path)


async def test_a_cursor_is_never_a_permission(matrix: Matrix):
    api, patient = matrix.api, matrix.there["patient_id"]
    for path in ("/v1/patients", "/v1/appointments", f"/v1/patients/{patient}/records"):
        first = await matrix.ask("doctor_treating", f"{path}?limit=1")
        cursor = first.json()["next_cursor"] or _before_everything()
        for who in matrix.principals:
            plain = await matrix.ask(who, f"{path}?limit=100")
            onward = await matrix.ask(who, f"{path}?limit=100&cursor={cursor}")
            assert onward.status_code == plain.status_code, (who, path)
            if plain.status_code == 200:
                seen = {item["id"] for item in plain.json()["items"]}
                assert {item["id"] for item in onward.json()["items"]} <= seen, (who, path)
    assert (await api.get(api.people.baker, "/v1/patients")).json()["items"] == []


def _before_everything() -> str:
    return base64.urlsafe_b64encode(b"\xff" * 16).decode().rstrip("=")


async def test_under_rules_that_allow_nothing_no_route_shows_anything(matrix: Matrix):
    """Whatever a new route selects: without a rule that allows it, there is nothing of it in the answer."""
    rules = [rule for rule in defaults() if rule.effect == "deny"]
    matrix.api.clinic.policy._snapshot = PolicySnapshot.build(1, rules)
    for path, item in matrix.api.app.openapi()["paths"].items():
        if "get" not in item or not path.startswith("/v1/") or path.startswith(ABOUT_ONESELF):
            continue
        for who in ("doctor_treating", "patient_self", "receptionist", "admin", "compliance"):
            answer = await matrix.ask(who, filled(path, matrix.there))
            assert answer.status_code < 500, (path, answer.text)
            if answer.status_code == 200:
                assert answer.json()["items"] == [], (who, path)
