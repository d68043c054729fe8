"""Two patients, each with a circle of their own and something in every table that hangs on a patient; a third is erased.

What one circle owns is foreign to the other. Every name that stands in a path has an id on either side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import orjson

from core.clock import now
from core.database import Database
from core.ids import new_id
from policies.facts import Subject
from policies.vocabulary import Role
from records.access.me import Me
from records.audit.ledger import ROLE, store
from records.identity import accounts
from tests.apis import Api
from tests.clinics import PASSWORD, _account, _doctor, me_as
from tests.policy_apis import TIGHT

Ids = dict[str, str]
NUMBERED = {"number": "1", "version": "1", "level": "0", "path": "000"}
NOWHERE = {
    "secret", "closure_id", "calendar_id", "client_id", "alert_id", "rotation_id", "passkey_id",
}  # fmt: skip
"""Names in paths for which nothing is made here: none is of a patient."""
SIDES = ("mine", "theirs")
PERSON = {"family": "Larkspur", "given": "Lysander"}
CARD = {"files": {"file": ("front.gif", b"GIF89a" + bytes(40), "image/gif")}}
NOTE = {"kind": "note", "title": "Visit", "content": {"text": "Nothing of note."}}


@dataclass
class Matrix:
    """Who may ask, and what there is to ask for: `mine` and `theirs` stand, `destroyed` was erased."""

    api: Api
    principals: dict[str, Me]
    things: dict[str, Ids] = field(default_factory=dict)
    bearers: dict[str, dict[str, str]] = field(default_factory=lambda: {"anonymous": {}})

    async def ask(self, who: str, method: str, path: str, body: Any = None) -> httpx.Response:
        if who not in self.bearers:
            self.bearers[who] = await self.api.bearer(self.principals[who])
        headers = self.bearers[who] | {"If-Match": 'W/"1"'}
        sent: dict[str, Any] = body if body and "files" in body else {"json": body}
        if method == "GET":
            sent = {}
        return await self.api.http.request(method, path, headers=headers, **sent)

    async def make(self, who: str, path: str, body: Any = None) -> dict[str, Any]:
        """Have somebody make something, and return it."""
        answer = await self.ask(who, "POST", f"/v1{path}", body)
        assert answer.status_code in {200, 201, 202}, (path, answer.text)
        return answer.json()


async def fill(api: Api, url: str) -> Matrix:
    """Furnish both sides and erase the third."""
    people, clinic = api.people, api.clinic
    third = await _doctor(clinic, "clay")
    principals = {
        "patient_mine": people.patient,
        "nurse_mine": await _account(clinic, "team.nurse", Role.NURSE),
        "doctor_mine": people.adams,
        "patient_theirs": people.patient,
        "nurse_theirs": people.nurse,
        "doctor_theirs": people.baker,
        "receptionist": people.reception,
        "admin": people.admin,
        "compliance": people.compliance,
    }
    matrix = Matrix(api, {**principals, "third": third})
    mine = {"patient_id": str(people.patient_id), "appointment_id": str(people.appointment_id),
            "record_id": str(people.record.id)}  # fmt: skip
    theirs, destroyed = await _registered(matrix), await _registered(matrix)
    principals["patient_theirs"] = await _patient(api, UUID(theirs["patient_id"]))
    matrix.principals["patient_theirs"] = principals["patient_theirs"]
    for n, (side, ids, doctor, nurse) in enumerate((
        ("mine", mine, "doctor_mine", "nurse_mine"),
        ("theirs", theirs, "doctor_theirs", "nurse_theirs"),
        ("destroyed", destroyed, "third", None),
    )):  # fmt: skip
        matrix.things[side] = await _furnished(matrix, ids, doctor, nurse, n)
    await _erase(matrix, destroyed["patient_id"])
    await _noted(matrix, url)
    del matrix.principals["third"]
    matrix.bearers |= {who: await api.bearer(me) for who, me in matrix.principals.items()}
    return matrix


async def _registered(matrix: Matrix) -> Ids:
    new = {"name": PERSON, "birth_date": "1980-02-03", "sex": "male"}
    return {"patient_id": (await matrix.make("receptionist", "/patients", new))["id"]}


async def _patient(api: Api, patient_id: UUID) -> Me:
    async with api.clinic.database.transaction() as session:
        account = await accounts.create(
            session,
            api.clinic.indexes,
            username="other.patient@test",
            password=PASSWORD,
            roles=[Role.PATIENT],
            patient_id=patient_id,
        )
    return me_as(Subject(account.id, frozenset({Role.PATIENT}), None, patient_id))


async def _furnished(matrix: Matrix, ids: Ids, doctor: str, nurse: str | None, n: int) -> Ids:
    """Put one of everything on a patient; return the ids by their names in paths."""
    who, desk = matrix.principals[doctor], "receptionist"
    patient, doctor_id = ids["patient_id"], str(who.subject.doctor_id)
    whom = {"patient_id": patient, "doctor_id": doctor_id}

    def start(day: int) -> str:
        hour = now().replace(minute=0, second=0, microsecond=0)
        return (hour + timedelta(days=10 * n + day)).isoformat()

    of = f"/patients/{patient}"
    if "appointment_id" not in ids:
        ids["appointment_id"] = await _made(matrix, desk, "/appointments", whom | {"start": start(2)})  # fmt: skip
        ids["record_id"] = await _made(matrix, doctor, f"/appointments/{ids['appointment_id']}/records", NOTE)  # fmt: skip
    member = matrix.principals[nurse] if nurse else await _account(matrix.api.clinic, f"m{n}", Role.NURSE)  # fmt: skip
    guardian = await _account(matrix.api.clinic, f"guardian{n}", Role.PATIENT)
    series = await matrix.make(desk, "/appointments/series", whom | {"start": start(3), "count": 2})
    file = {"files": {"file": ("scan.txt", b"nothing", "text/plain")}}
    made = {
        "coverage_id": (desk, f"{of}/coverages", {"payor": "Harbor Mutual"}),
        "member_id": (desk, f"{of}/care-team", {"account_id": str(member.subject.id)}),
        "consent_id": (desk, f"{of}/consents", {"decision": "deny", "category": "HIV"}),
        "proxy_id": (desk, f"{of}/proxies",
                     {"account_id": str(guardian.subject.id), "relationship": "parent"}),
        "attachment_id": (doctor, f"/records/{ids['record_id']}/attachments", file),
        "hold_id": (desk, "/holds", whom | {"start": start(5)}),
        "entry_id": (desk, "/waitlist", {"patient_id": patient}),
        "grant_id": (doctor, "/break-glass", {"patient_id": patient, "reason_code": "ETREAT",
                                              "explanation": "Unconscious in the lobby"}),
        "feed_id": (doctor, "/me/calendar-feeds", None),
        "schedule_id": (desk, f"/doctors/{doctor_id}/schedules",
                        {"weekday": 1, "start": "09:00", "end": "17:00", "time_zone": "UTC"}),
        "time_off_id": (desk, f"/doctors/{doctor_id}/time-off",
                        {"start": start(200), "end": start(201)}),
        "shift_id": (desk, f"/accounts/{who.subject.id}/shifts",
                     {"start": start(0), "end": start(1)}),
        "service_id": ("admin", "/services", {"name": f"Visit {n}"}),
        "location_id": ("admin", "/locations", {"name": f"Room {n}"}),
        "draft_id": ("admin", "/policies/drafts", {"reason": "to see", "put": [TIGHT]}),
        "export_id": ("compliance", "/audit/exports", {"patient": patient}),
        "search_id": ("compliance", "/audit/searches",
                      {"name": f"side-{n}", "filters": {"patient": patient}}),
    }  # fmt: skip
    for name, order in made.items():
        ids[name] = await _made(matrix, *order)
    path = f"/policies/drafts/{ids['draft_id']}/simulate"
    account = str(who.subject.id)
    return ids | {
        "series_id": series["id"],
        "doctor_id": doctor_id,
        "account_id": account,
        "simulation_id": await _made(matrix, "admin", path, {}),
        "card_id": await _made(matrix, desk, f"{of}/coverages/{ids['coverage_id']}/cards", CARD),
        "session_id": str(await _session(matrix, account)),
    }


async def _made(matrix: Matrix, who: str, path: str, body: Any = None) -> str:
    return str((await matrix.make(who, path, body))["id"])


async def _session(matrix: Matrix, account: str) -> UUID:
    found = await matrix.api.http.get(
        f"/v1/accounts/{account}/sessions",
        headers=await matrix.api.bearer(matrix.principals["admin"]),
    )
    return UUID(found.json()["items"][0]["id"])


async def _erase(matrix: Matrix, patient: str) -> None:
    for who in ("admin", "compliance"):
        await matrix.make(who, f"/patients/{patient}/erasure", {"reason": "patient-request"})


async def _noted(matrix: Matrix, url: str) -> None:
    """Bring what was noted into the ledger, and name one event of each patient."""
    owner = await asyncpg.connect(url)
    bodies = [row["body"] for row in await owner.fetch("SELECT body FROM audit.outbox")]
    await owner.close()
    database = Database(url, role=ROLE, size=1)
    await database.open()
    await store(database, bodies)
    await database.close()
    events = [orjson.loads(body) for body in bodies]
    for ids in matrix.things.values():
        of = [e for e in events if e.get("patient") == ids["patient_id"]]
        ids["event_id"] = str(of[0]["id"])


def bodies(ids: Mapping[str, str]) -> dict[str, Any]:
    """Return a good body for each operation whose schema does not give one, by its path's last words."""
    start = (now() + timedelta(days=77)).isoformat()
    return {
        "coverages": {"payor": "Harbor Mutual"},
        "distinct": {"patient_id": ids["other_id"]},
        "merge": {"into": ids["other_id"]},
        "schedules": {"weekday": 2, "start": "09:00", "end": "17:00", "time_zone": "UTC"},
        "shifts": {"start": start, "end": (now() + timedelta(days=77, hours=8)).isoformat()},
        "time-off": {"start": start, "end": (now() + timedelta(days=78)).isoformat()},
        "reschedule": {"start": start},
        "records": NOTE,
        "amend": {"reason": "wrong side", "content": {"text": "Left."}},
        "enter-in-error": {"reason": "wrong side"},
        "addenda": {"content": {"text": "And more."}},
        "attachments": {"files": {"file": ("scan.txt", b"nothing", "text/plain")}},
        "cards": CARD,
        "care-team": {"account_id": ids["account_id"]},
        "consents": {"decision": "deny"},
        "proxies": {"account_id": ids["account_id"], "relationship": "parent"},
        "review": {"verdict": "justified"},
        "disclosures": {"purpose": "public-health", "disclosed_at": now().isoformat(),
                        "recipient": {"name": "Board of Health"}, "description": "As the law has it"},
        "assign": {},
        "resolve": {"resolution": "justified", "reason": "seen"},
        "erasure": {"reason": "patient-request"},
        "legal-hold": {"reference": "2026/0417"},
    }  # fmt: skip


def sample(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> Any:
    """Return the least that a schema of the OpenAPI document lets through, as far as it says."""
    if "$ref" in schema:
        return sample(parts[schema["$ref"].rpartition("/")[2]], parts)
    if "properties" in schema:
        needed = schema.get("required", ())
        return {name: sample(schema["properties"][name], parts) for name in needed}
    if chosen := schema.get("examples") or schema.get("enum"):
        return chosen[0]
    if "anyOf" in schema:
        return sample(schema["anyOf"][0], parts)
    formats = {"uuid": str(new_id()), "date-time": now().isoformat(), "date": "2026-01-01"}
    kinds = {"integer": schema.get("minimum", 1), "boolean": True, "array": [], "object": {}}
    types = schema.get("type", "")
    kind = types if isinstance(types, str) else types[0]
    return kinds.get(kind, formats.get(schema.get("format", ""), "word"))


def absent() -> Ids:
    """Return ids of nothing, one for each name that is asked for."""
    return _Nothing()


class _Nothing(dict[str, str]):
    def __missing__(self, _name: str) -> str:
        return str(new_id())
