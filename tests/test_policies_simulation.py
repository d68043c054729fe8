"""A simulation says beforehand exactly what a publication will do."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from core.ids import new_id
from policies.facts import SCHEMA
from policies.vocabulary import Action, ResourceType, Role
from records.access.me import Me
from records.clinic import Clinic
from records.governance import sight, simulating
from records.identity.callers import everybody
from records.scheduling import waiting
from tests.apis import serve
from tests.clinics import _account
from tests.policy_apis import TIGHT, Desk
from tests.servers import CHECKOUT

NURSES = {**TIGHT, "id": "nurses-read-all", "tier": 4, "effect": "allow", "condition": "r.obj.status == 'final'"}  # fmt: skip
NO_NOTES = {**TIGHT, "id": "no-notes", "subject": "doctor", "condition": "r.obj.kind == 'note'"}

Seen = dict[tuple[UUID, str, UUID], bool]


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with serve(database_url, tmp_path) as api:
        desk = await Desk.open(api)
        await fill(desk, database_url)
        yield desk


async def fill(desk: Desk, url: str) -> None:
    """Copy the clinic's one record into twelve heads of every status and confidentiality."""
    connection = await asyncpg.connect(url)
    for status in ("draft", "final", "amended", "entered-in-error"):
        for sensitivity in "NRV":
            await connection.execute(
                "INSERT INTO record SELECT (jsonb_populate_record(r, jsonb_build_object("
                "'id', $1::uuid, 'status', $2::text, 'sensitivity', $3::text, 'source', null))).* "
                "FROM record r WHERE r.id = $4",
                new_id(), status, sensitivity, desk.api.people.record.id,
            )  # fmt: skip
    await connection.close()


async def decided(clinic: Clinic) -> Seen:
    """Decide every row for everybody, one by one."""
    seen: Seen = {}
    for kind, (source, columns) in sight.PROTECTED.items():
        rows = await clinic.database.select(sight.select(columns["id"]).select_from(source))
        ids = [row["id"] for row in rows]
        for known in await everybody(clinic.database):
            me = Me(known.subject, known.environment, None)
            for row_id, thing in (await sight.facts(clinic.database, me, kind, ids)).items():
                verdict = clinic.policy.snapshot.decide(
                    me.subject, Action.READ, thing, me.environment
                )
                seen[me.subject.id, kind, row_id] = verdict.allowed
    return seen


async def simulated(desk: Desk, draft: dict) -> dict:
    path = await asked(desk, draft)
    await simulating.work(desk.api.clinic.database, 60)
    state = (await desk.send(desk.first, "GET", path)).json()
    assert state["status"] == "done"
    return state["result"]


async def asked(desk: Desk, draft: dict) -> str:
    """Ask for a simulation; return where it is."""
    answer = await desk.send(desk.first, "POST", f"/drafts/{draft['id']}/simulate", {})
    assert answer.status_code == 202, answer.text
    assert (answer.json()["status"], answer.json()["result"]) == ("queued", None)
    return answer.headers["location"].removeprefix("/v1/policies")


async def test_what_was_predicted_is_what_is_measured_after_publication(desk: Desk):
    before = await decided(desk.api.clinic)
    draft = await desk.draft(NURSES, NO_NOTES, remove=("patient-read-reception",))
    predicted = await simulated(desk, draft)
    await desk.publish(draft)
    after = await decided(desk.api.clinic)
    counted: dict[tuple[str, str, bool], int] = {}
    for key, was in before.items():
        if after[key] != was:
            place = (str(key[0]), key[1], after[key])
            counted[place] = counted.get(place, 0) + 1
    told: dict[tuple[str, str, bool], int] = {}
    for effect in predicted["effects"]:
        if effect["action"] == "read":
            place = (effect["account_id"], effect["kind"], effect["gained"])
            told[place] = told.get(place, 0) + effect["rows"]
    assert told == counted
    assert {kind for _, kind, _ in told} == {"record", "patient"}
    people = desk.api.people
    assert told[str(people.nurse.subject.id), "record", True] == 1  # the one she is cleared for
    assert told[str(people.reception.subject.id), "patient", False] == 1


async def test_effects_name_label_and_rule_and_add_up(desk: Desk):
    predicted = await simulated(desk, await desk.draft(NO_NOTES))
    adams = str(desk.api.people.adams.subject.id)
    mine = [e for e in predicted["effects"] if e["account_id"] == adams]
    assert {e["after"] for e in mine} == {"no-notes"}
    assert {e["before"] for e in mine} == {"record-read-doctor"}
    assert {e["label"] for e in mine} == {"N", "R", "V"}
    lost = sum(t["lost"] for t in predicted["totals"])
    assert lost == sum(e["rows"] for e in predicted["effects"]) > 0
    assert sum(t["gained"] for t in predicted["totals"]) == 0


async def test_a_draft_that_changes_nothing_changes_nothing(desk: Desk):
    draft = await desk.draft()
    predicted = await simulated(desk, draft)
    assert (predicted["people"], predicted["effects"]) == (0, [])
    assert predicted["analysis"]["differences"] == []


async def test_recent_acts_are_decided_again(desk: Desk, database_url: str):
    people = desk.api.people
    path = f"/v1/records/{people.record.id}"
    assert (await desk.api.get(people.adams, path)).status_code == 200
    assert (await desk.api.get(people.nurse, path)).status_code == 404
    await to_ledger(database_url)
    draft = await desk.draft(NO_NOTES, remove=("hard-draft",))
    replay = (await simulated(desk, draft))["replay"]
    assert replay["replayed"] > 2
    assert replay["newly_denied"] >= 1
    assert {
        "account_id": str(people.adams.subject.id), "action": "read", "kind": "record",
        "resource_id": str(people.record.id), "before": "allow", "after": "deny", "rule": "no-notes",
    } in replay["flips"]  # fmt: skip


async def test_an_act_is_decided_again_for_the_purpose_it_was_for(desk: Desk, database_url: str):
    people, tried = desk.api.people, f"/v1/records/{desk.api.people.record.id}"
    for purpose in ("TREAT", "HOPERAT"):
        headers = await desk.api.bearer(people.adams) | {"X-Purpose-Of-Use": purpose}
        assert (await desk.api.http.get(tried, headers=headers)).status_code == 200
    await to_ledger(database_url)
    only = {**NO_NOTES, "condition": "r.env.purpose == 'HOPERAT'"}
    flips = (await simulated(desk, await desk.draft(only)))["replay"]["flips"]
    reads = [
        f for f in flips if f["resource_id"] == str(people.record.id) and f["action"] == "read"
    ]
    assert len(reads) == 1


async def to_ledger(url: str) -> None:
    from core.database import Database
    from records.audit.ledger import ROLE, store

    owner = await asyncpg.connect(url)
    bodies = [r["body"] for r in await owner.fetch("SELECT body FROM audit.outbox")]
    await owner.close()
    database = Database(url, role=ROLE, size=1)
    await database.open()
    await store(database, bodies)
    await database.close()


async def test_a_simulation_is_for_those_who_read_rules_and_its_result_too(desk: Desk):
    draft = await desk.draft(NO_NOTES)
    path = f"/drafts/{draft['id']}/simulate"
    nurse = desk.api.people.nurse
    assert (await desk.send(nurse, "POST", path, {})).status_code == 403
    done = (await desk.send(desk.first, "POST", path, {})).json()
    path = f"/simulations/{done['id']}"
    assert (await desk.send(nurse, "GET", path)).status_code == 403
    assert (await desk.send(desk.api.people.compliance, "GET", path)).json() == done
    assert (await desk.send(desk.first, "GET", f"/simulations/{new_id()}")).status_code == 404
    assert (
        await desk.send(desk.first, "POST", f"/drafts/{new_id()}/simulate", {})
    ).status_code == 404


async def test_progress_is_told_and_work_goes_on_where_it_was_interrupted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    """Whatever ends a process in the middle, nobody is counted twice and nobody is left out."""
    for n in range(3):
        await _account(desk.api.clinic, f"nurse.{n}", Role.NURSE)
    draft, database = await desk.draft(NURSES), desk.api.clinic.database
    whole = await simulated(desk, draft)
    monkeypatch.setattr(simulating, "AT_ONCE", 1)
    path, plain, seen = await asked(desk, draft), simulating.measure, []

    async def killed(*given: object) -> list:
        if len(seen) in (1, 4):
            seen.append(None)
            raise asyncio.CancelledError
        seen.append(given)
        return await plain(*given)

    monkeypatch.setattr(simulating, "measure", killed)
    for done in (1, 3):
        with pytest.raises(asyncio.CancelledError):
            await simulating.work(database, 60)
        state = (await desk.send(desk.first, "GET", path)).json()
        assert (state["status"], state["done"], state["total"]) == ("running", done, 4)
    await simulating.work(database, 60)
    state = (await desk.send(desk.first, "GET", path)).json()
    assert (state["status"], state["done"]) == ("done", 4)
    assert state["result"]["effects"] == whole["effects"]


async def test_what_is_not_done_in_its_time_is_left_to_the_next_wake_up(desk: Desk):
    path, database = await asked(desk, await desk.draft(NURSES)), desk.api.clinic.database
    await simulating.work(database, -1)
    assert (await desk.send(desk.first, "GET", path)).json()["status"] == "running"
    await simulating.work(database, 60)
    assert (await desk.send(desk.first, "GET", path)).json()["status"] == "done"


async def test_a_simulation_is_of_the_draft_as_it_was_when_it_was_asked_for(desk: Desk):
    draft = await desk.draft(NURSES)
    path = await asked(desk, draft)
    body = {"remove": [NURSES["id"]]}
    await desk.send(desk.first, "PATCH", f"/drafts/{draft['id']}", body, match=1)
    await simulating.work(desk.api.clinic.database, 60)
    state = (await desk.send(desk.first, "GET", path)).json()
    assert (state["draft_version"], state["result"]["people"]) == (1, 1)


async def test_one_that_cannot_be_done_has_failed(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    async def broken(*_given: object) -> list:
        raise ZeroDivisionError

    path = await asked(desk, await desk.draft(NURSES))
    monkeypatch.setattr(simulating, "measure", broken)
    await simulating.work(desk.api.clinic.database, 60)
    assert (await desk.send(desk.first, "GET", path)).json()["status"] == "failed"


def test_the_kinds_counted_are_all_that_belong_to_patients():
    assert set(sight.PROTECTED) >= {
        ResourceType.PATIENT,
        ResourceType.COVERAGE,
        ResourceType.APPOINTMENT,
        ResourceType.RECORD,
    }


@pytest.mark.parametrize("kind", [*sight.PROTECTED, ResourceType.WAITLIST])
def test_whatever_a_rule_may_name_of_a_kind_its_lists_can_ask(kind: ResourceType):
    waits = waiting._LISTINGS[False]
    listed = {"id", *waits.facts(waits.rows.selected_columns)}
    columns = listed if kind is ResourceType.WAITLIST else sight.PROTECTED[kind][1]
    named = {n for (root, n), fact in SCHEMA.items() if root == "obj" and kind in fact.types}
    assert named <= set(columns)


DYING = """
import asyncio, os
from records.governance import simulating
from records.governance.tasks import simulate

plain, counted = simulating.measure, []

async def measure(*given):
    if len(counted) == 2:
        os.kill(os.getpid(), 9)
    counted.append(given)
    return await plain(*given)

simulating.AT_ONCE, simulating.measure = 1, measure
simulate()
"""


async def test_a_worker_killed_in_the_middle_is_gone_on_for_by_the_next(
    desk: Desk, database_url: str, tmp_path: Path
):
    """A real process runs the chore and is shot at the third person; the next wake-up counts those who are left."""
    for n in range(3):
        await _account(desk.api.clinic, f"nurse.{n}", Role.NURSE)
    draft = await desk.draft(NURSES)
    whole = await simulated(desk, draft)
    path = await asked(desk, draft)
    environment = {
        **os.environ, "CONFIDE_ENVIRONMENT": "development", "CONFIDE_HOME": str(tmp_path),
        "CONFIDE_DATABASE_URL": database_url, "CONFIDE_KMS": f"file:{tmp_path / 'keyring.json'}",
    }  # fmt: skip
    chore = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DYING, env=environment, cwd=CHECKOUT
    )
    assert await asyncio.wait_for(chore.wait(), 60) == -9
    state = (await desk.send(desk.first, "GET", path)).json()
    assert (state["status"], state["done"], state["total"]) == ("running", 2, 4)
    for _ in range(
        30
    ):  # the server may not have noticed yet that the one who held the lock is dead
        await simulating.work(desk.api.clinic.database, 60)
        state = (await desk.send(desk.first, "GET", path)).json()
        if state["status"] == "done":
            break
        await asyncio.sleep(0.1)
    assert (state["status"], state["done"]) == ("done", 4)
    assert state["result"]["effects"] == whole["effects"]
