"""Every POST that creates takes an Idempotency-Key. The operations are read off the OpenAPI document, so a new one is in by itself."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from core.clock import now
from policies.vocabulary import Role
from tests.apis import serve
from tests.clinics import _account
from tests.idors import NOTE, PERSON, Matrix, fill
from tests.policy_apis import TIGHT
from tests.servers import cloned

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAFE_WITHOUT = {
    "begin_totp": "there is one set-up at a time, and the last one counts",
    "invite_account": "there is one link at a time, and the last one counts; it is shown once",
    "renew_client_secret": "there is one secret at a time, and the last one counts; it is shown once",
    "add_passkey": "its challenge is good for one time",
    "restore_policy_version": "If-Match must be sent: the second one is 412",
    "add_card": "its body is sealed as it streams, and never held to be compared",
    "attach": "its body is sealed as it streams, and never held to be compared",
    "erase_patient": "the same person's second request changes nothing",
    "place_legal_hold": "there is one hold of a patient, and the second is 409",
}
"""Operations that take no key, and why a second request does no harm, or has to be made out otherwise."""
SECRETS = {"create_account": "invitation", "register_client": "client_secret", "open_calendar_feed": "url"}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def matrix(postgres: str, template_url: str, tmp_path_factory: Any) -> AsyncIterator[Matrix]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONFIDE_AUDIT_DEADLINE", "60")
        home = tmp_path_factory.mktemp("once")
        async with cloned(postgres, template_url) as url, serve(url, home) as api:
            yield await fill(api, url)


def creating(matrix: Matrix) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the path and the document's words of each POST that answers 201, or 202, by its name."""
    paths = matrix.api.app.openapi()["paths"]
    posts = {path: item["post"] for path, item in paths.items() if "post" in item}
    return {
        told["operationId"]: (path, told)
        for path, told in posts.items()
        if {"201", "202"} & told["responses"].keys()
    }


def takes_a_key(told: dict[str, Any]) -> bool:
    return any(p.get("name") == "idempotency-key" for p in told["parameters"])


async def orders(matrix: Matrix) -> dict[str, tuple[str, Any]]:
    """Return for each operation who may do it, and with which body."""
    ids = matrix.things["mine"]
    patient, doctor = ids["patient_id"], ids["doctor_id"]
    whom = {"patient_id": patient, "doctor_id": doctor}
    hour = now().replace(minute=0, second=0, microsecond=0)
    nurse = str((await _account(matrix.api.clinic, "once.nurse", Role.NURSE)).subject.id)
    proxy = str((await _account(matrix.api.clinic, "once.proxy", Role.PATIENT)).subject.id)

    def start(day: int) -> str:
        return (hour + timedelta(days=day)).isoformat()

    def monday(week: int) -> str:
        """A time in the hours that `fill` gives to the doctor."""
        ten = hour.replace(hour=10) + timedelta(days=7 - hour.weekday(), weeks=week)
        return ten.isoformat()

    desk, doctor_mine = "receptionist", "doctor_mine"
    window = {"start": start(300), "end": start(301)}
    return {
        "create_account": ("admin", {"username": "once@test.example", "roles": ["nurse"]}),
        "register_client": ("admin", {"client_name": "Charts", "scope": "openid",
                                      "redirect_uris": ["https://charts.example/cb"]}),
        "register_patient": (desk, {"name": PERSON, "birth_date": "1980-02-03", "sex": "male"}),
        "add_coverage": (desk, {"payor": "Quill Mutual", "position": 2}),
        "add_doctor": ("admin", {"family": "Quill", "given": "Ada"}),
        "hold_slot": (desk, whom | {"start": monday(8)}),
        "book_series": (desk, whom | {"start": monday(9), "count": 2}),
        "book_appointment": (desk, whom | {"start": monday(12)}),
        "add_service": ("admin", {"name": "Once"}),
        "add_location": ("admin", {"name": "Room once"}),
        "add_schedule": (desk, {"weekday": 3, "start": "09:00", "end": "10:00", "time_zone": "UTC"}),
        "add_time_off": (desk, window),
        "add_closure": ("admin", window),
        "add_holidays": ("admin", {"calendar": "US-MA"}),
        "add_shift": (desk, window),
        "enter_waitlist": (desk, {"patient_id": patient}),
        "open_calendar_feed": (doctor_mine, {}),
        "write_record": (doctor_mine, NOTE),
        "add_addendum": (doctor_mine, {"content": {"text": "And more."}}),
        "join_care_team": (desk, {"account_id": nurse}),
        "declare_consent": (desk, {"decision": "deny", "category": "PSY"}),
        "appoint_proxy": (desk, {"account_id": proxy, "relationship": "parent"}),
        "break_glass": (doctor_mine, {"patient_id": matrix.things["theirs"]["patient_id"],
                                      "reason_code": "ETREAT", "explanation": "In the lobby"}),
        "record_disclosure": ("compliance", {"purpose": "treatment", "disclosed_at": now().isoformat(),
                              "recipient": {"name": "Board of Health"}, "description": "As asked"}),
        "export_audit_events": ("compliance", {"patient": patient}),
        "save_audit_search": ("compliance", {"name": "once", "filters": {"patient": patient}}),
        "watch_patient": ("compliance", {"patient_id": patient, "reason": "requested"}),
        "draft_policy": ("admin", {"reason": "to see", "put": [TIGHT]}),
        "simulate_policy_draft": ("admin", {}),
        "draft_policy_upgrade": ("admin", {"reason": "what is new"}),
        "rotate_keys": ("admin", {"kind": "dek", "patient_id": patient}),
    }  # fmt: skip


async def test_a_creating_post_takes_a_key_or_has_a_reason_not_to(matrix: Matrix):
    without = {n for n, (_, told) in creating(matrix).items() if not takes_a_key(told)}
    assert without == set(SAFE_WITHOUT)


async def test_what_is_made_under_a_key_is_made_once_and_shown_again(matrix: Matrix):
    known = await orders(matrix)
    await _signed(matrix)
    for name, (path, told) in creating(matrix).items():
        if takes_a_key(told):
            who, body = known[name]
            await _made_once(matrix, name, who, path.format(**matrix.things["mine"]), body)


async def _signed(matrix: Matrix) -> None:
    """Sign the record, that there may be an addendum to it."""
    path = f"/v1/records/{matrix.things['mine']['record_id']}/sign"
    assert (await matrix.ask("doctor_mine", "POST", path, {})).status_code == 200


async def _made_once(matrix: Matrix, name: str, who: str, path: str, body: Any) -> None:
    headers = matrix.bearers[who] | {"Idempotency-Key": name}

    async def ask(query: str = "") -> httpx.Response:
        return await matrix.api.http.post(path + query, headers=headers, json=body)

    both = await asyncio.gather(ask(), ask())
    made = [a for a in both if a.status_code in (201, 202)]
    assert made, (name, both[0].text, both[1].text)
    refused = {a.json()["code"] for a in both if a not in made}
    assert refused <= {"idempotency-in-progress"}, (name, refused)
    first = next(a for a in made if "idempotent-replayed" not in a.headers)
    again, other = await ask(), await ask("?other=1")
    assert (again.status_code, again.headers["idempotent-replayed"]) == (
        first.status_code,
        "true",
    ), (name, again.text)
    _alike(name, first, again)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused"), name


def _alike(name: str, first: httpx.Response, again: httpx.Response) -> None:
    for header in ("location", "etag", "content-type"):
        assert first.headers.get(header) == again.headers.get(header), (name, header)
    shown, secret = first.json(), SECRETS.get(name)
    if secret:
        assert shown.pop(secret), name
        assert again.json()[secret] is None, name
    assert {n: v for n, v in again.json().items() if n != secret} == shown, name
