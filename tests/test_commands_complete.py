"""No task and no command shows patients' data, or acts on keys and the log, without an event; a new one fails until it is placed here.

What opens a sealed cell must hold a Permit, and the Permit names its event: while chores run, each opening is looked up on the trail.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from core.desk import desk
from core.settings import settings
from records.audit.log_key import open_signer
from records.clinic import Clinic
from records.identity.accounts import named
from records.vault.vault import Vault
from tests.bundles import save, small_bundle
from tests.clinics import open_clinic, outbox, populate
from tests.sealing import ISSUER

OPENS = {"scheduling.remind", "scheduling.tell"}
"""Tasks that open patients' data."""
BLIND = {
    "audit.store", "audit.revive", "audit.reconcile", "audit.months", "compliance.look", "compliance.gather",
    "clinical.sweep", "governance.simulate", "identity.sweep", "keys.rotate", "once.forget", "scheduling.lapse",
    "scheduling.missed",
}  # fmt: skip
"""Tasks that work on ids, codes and ciphertext alone."""
BY_BROKER = {"audit.store", "audit.revive"}

SOME_ID = "01a214bf-317b-7771-b0eb-b2f6b76a2ac9"
NOTED: dict[str, list[str]] = {
    "token": ["--as", "dr.adams@test"],
    "accounts create": ["first@clinic.example", "--role", "admin"],
    "accounts list": [],
    "accounts deactivate": ["dr.baker@test"],
    "accounts reset-mfa": ["dr.adams@test"],
    "import fhir": ["{home}/bundle.json"],
    "keys versions": [],
    "keys rotate": ["kek", "--purpose", "audit"],
    "keys destroy": ["audit", "1"],
    "keys rotate-signing": ["--revoke"],
    "policies show": [],
    "policies versions": [],
    "policies check": ["{admin}", "read", "policy"],
    "policies who-can": ["explain", "policy", SOME_ID],
    "audit rotate-key": [],
    "audit verify": [],
    "audit export-bundle": ["{home}/log.tar"],
}
"""Commands that leave an event of their own, and how each is called."""
NOTED_ELSEWHERE = {
    "seed": "acts like the API; tests/test_demo.py",
    "audit prune": "tests/test_audit_retention.py",
}
SILENT = {
    "dev": "starts processes", "serve": "starts the API", "worker": "starts tasks", "chores": "starts tasks",
    "relay": "moves ids and codes", "sealer": "moves hashes", "migrate": "the schema, in an empty clinic the first rules",
    "db-url": "development only", "bench": "a clinic of its own", "docs": "no clinic at all", "soak": "a clinic of its own",
    "keys init": "before there is a database", "audit witness": "a size and a hash",
    "status": "sizes, ages and versions", "backup": "ciphertext", "restore": "into an empty database",
    "verify records": "hashes of rows as they are stored", "login": "the API notes it", "logout": "the API notes it",
    "whoami": "about the caller",
}  # fmt: skip


@pytest.fixture
async def clinic(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Clinic]:
    variables = {
        "HOME": tmp_path,
        "DATABASE_URL": database_url,
        "BROKER_URL": "memory://",
        "ENVIRONMENT": "development",
        "ISSUER": ISSUER,
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"CONFIDE_{name}", str(value))
    settings.cache_clear(), desk.cache_clear()
    async with open_clinic(database_url, tmp_path) as clinic:
        await populate(clinic)
        yield clinic
    settings.cache_clear(), desk.cache_clear()


def tasks() -> dict[str, Any]:
    from records.worker import app

    return {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}


def commands() -> set[str]:
    from api.cli import app

    def names(command: Any, before: tuple[str, ...] = ()) -> Iterator[str]:
        for name, each in getattr(command, "commands", {}).items():
            yield from names(each, (*before, name))
        if not hasattr(command, "commands"):
            yield " ".join(before)

    return set(names(get_command(app)))


@pytest.mark.usefixtures("clinic")
async def test_every_task_is_placed_and_no_opening_is_without_its_event(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    opened, real = set[UUID](), Vault.open

    def watched(self: Vault, permit: Any, *given: Any) -> Any:
        opened.add(permit.event_id)
        return real(self, permit, *given)

    monkeypatch.setattr(Vault, "open", watched)
    known = tasks()
    assert set(known) == OPENS | BLIND

    def run() -> set[str]:
        """Run each chore once; return those that opened something."""
        openers = set()
        for name in sorted(set(known) - BY_BROKER):
            before = len(opened)
            known[name].run()
            openers |= {name} if len(opened) > before else set()
        close_desks()
        return openers

    assert await asyncio.to_thread(run) <= OPENS
    assert {str(i) for i in opened} <= {e["id"] for e in await outbox(database_url)}


def close_desks() -> None:
    from records.audit import sealer
    from records.clinic import ROLE
    from records.custody import rotation

    for role in {ROLE, sealer.ROLE, rotation.ROLE}:
        here = desk(role)
        here.run(here.database.close())
        here.loop.close()


async def test_every_command_is_placed_and_those_that_act_leave_an_event(
    clinic: Clinic, database_url: str, tmp_path: Path
):
    from api.cli import app

    admin = await named(clinic, "admin@test")
    assert admin

    assert commands() == set(NOTED) | set(NOTED_ELSEWHERE) | set(SILENT)
    open_signer(tmp_path, ISSUER)
    save(small_bundle(), tmp_path / "bundle.json")
    for name, arguments in NOTED.items():
        argv = [*name.split(), *(a.format(home=tmp_path, admin=admin.id) for a in arguments)]
        done = await asyncio.to_thread(CliRunner().invoke, app, argv)
        assert done.exit_code in {0, 2}, (name, done.output, done.exception)
        noted = {e["endpoint"] for e in await outbox(database_url)}
        assert f"confide {name}" in noted, name


async def test_logins_refusals_policy_consent_and_the_log_itself_are_events(
    database_url: str, tmp_path: Path
):
    """One act of each kind, over HTTP, and what the trail has of it."""
    from tests.apis import serve

    async with serve(database_url, tmp_path) as api:
        people = api.people
        who = {
            "adams": people.adams,
            "baker": people.baker,
            "patient": people.patient,
            "compliance": people.compliance,
            "admin": people.admin,
        }
        acts = [
            ("baker", "get", f"/v1/records/{people.record.id}", None, ("read", "deny", "record")),
            ("patient", "post", f"/v1/patients/{people.patient_id}/consents", CONSENT, ("create", "allow", "consent")),
            ("baker", "post", "/v1/break-glass", GLASS | {"patient_id": str(people.patient_id)}, ("create", "allow", "break_glass")),
            ("admin", "get", "/v1/policies", None, ("read", "allow", "policy")),
            ("admin", "post", "/v1/keys/rotations", {"kind": "kek", "purpose": "record"}, ("create", "allow", "key")),
            ("compliance", "get", "/v1/audit/events", None, ("search", "allow", "audit_event")),
            ("compliance", "get", "/v1/audit/alerts", None, ("search", "allow", "alert")),
            ("compliance", "post", "/v1/audit/exports", {}, ("export", "allow", "audit_event")),
        ]  # fmt: skip
        for name, verb, path, body, expected in acts:
            call = api.get(who[name], path) if verb == "get" else api.post(who[name], path, body)
            answer = await call
            events = await outbox(database_url)
            mine = [e for e in events if e["request_id"] == answer.headers["X-Request-Id"]]
            told = {(e["action"], e["outcome"], e["resource_type"]) for e in mine}
            assert expected in told, (path, answer.status_code, answer.text, told)


CONSENT = {"decision": "deny", "role": "nurse"}
GLASS = {"reason_code": "ETREAT", "explanation": "found unconscious"}
