"""A row, a table or a key that is put back to an older state is named; a clinic where only Confide wrote is never accused."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from core.clock import now
from core.crypto.kek import KeyPurpose
from records.access.models import CareTeam
from records.anchors import anchor
from records.audit.event import Stamp
from records.audit.ledger import ROLE as LEDGER
from records.audit.ledger import store
from records.audit.verifier.findings import Verdict
from records.base import add
from records.custody.comparing import ROLE, compare
from records.custody.models import RotationKind
from records.custody.rotation import ROLE as KEYS
from records.custody.rotation import request_rotation, work
from records.custody.tampering import Comparison, Kind
from records.tables import metadata
from tests.apis import Api, serve
from tests.sealing import drain, event, role, seal
from tests.servers import CHECKOUT

HARBOR = {"payor": "Harbor Mutual", "member_id": "HM-1", "relationship": "self", "position": 1}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def compared(api: Api, url: str) -> Comparison:
    async with role(url, ROLE) as database:
        return await compare(database, api.clinic.vault.provider)


async def found(api: Api, url: str) -> list[tuple[Kind, str, str]]:
    return [(f.kind, f.table, f.row_id) for f in (await compared(api, url)).findings]


async def sql(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def keep(url: str, table: str) -> None:
    await sql(url, f"CREATE TABLE kept AS SELECT * FROM {table}")


async def put_back(url: str, table: str) -> None:
    """Put rows of a table back to what they were when they were kept."""
    columns = ", ".join(c.name for c in metadata.tables[table].columns if c.computed is None)
    (key,) = metadata.tables[table].primary_key
    whole = f"(SELECT {columns} FROM kept WHERE kept.{key.name} = {table}.{key.name})"
    there = f"{key.name} IN (SELECT {key.name} FROM kept)"
    await sql(url, f"UPDATE {table} SET ({columns}) = {whole} WHERE {there}")


async def rename(api: Api, family: str) -> None:
    me, path = api.people.reception, f"/v1/patients/{api.people.patient_id}"
    etag = (await api.get(me, path)).headers["ETag"]
    headers = await api.bearer(me) | {"If-Match": etag}
    done = await api.http.patch(path, headers=headers, json={"name": {"family": family}})
    assert done.status_code == 200, done.text


async def rotate(api: Api, url: str, kind: RotationKind) -> None:
    async with api.clinic.database.transaction() as session:
        await request_rotation(session, api.clinic, api.people.admin, kind, KeyPurpose.RECORD)
    async with role(url, KEYS) as database:
        await work(database, api.clinic.vault.provider, 20)


async def post(api: Api, me: Any, path: str, body: Any, match: str | None = None) -> Any:
    headers = await api.bearer(me) | ({"If-Match": match} if match else {})
    answer = await api.http.post(f"/v1/{path}", headers=headers, json=body)
    assert answer.status_code in {200, 201, 202}, (path, answer.text)
    return answer.json()


async def live_through_everything(api: Api, url: str) -> None:
    """Do what changes rows: records, visits, insurance, care, emergencies, merging, rotation, erasure."""
    people, mine = api.people, api.people.patient_id
    await rename(api, "Quillfeather-Wren")
    record = f"records/{people.record.id}"
    await post(api, people.adams, f"{record}/sign", {}, 'W/"1"')
    await post(api, people.adams, f"{record}/addenda", {"title": "More", "content": "words"})
    await post(api, people.reception, f"patients/{mine}/coverages", HARBOR)
    visit = f"appointments/{people.appointment_id}"
    start = (now() + timedelta(days=9)).replace(minute=0, second=0, microsecond=0)
    await post(api, people.reception, f"{visit}/reschedule", {"start": start.isoformat()})
    body = {"patient_id": str(mine), "doctor_id": str(people.adams.subject.doctor_id)}
    series = body | {"start": (start + timedelta(days=1)).isoformat(), "count": 3}
    await post(api, people.reception, "appointments/series", series)
    await post(api, people.reception, f"{visit}/cancel", {"reason_code": "pat"})
    await post(api, people.patient, f"patients/{mine}/consents", {"decision": "deny"})
    reason = {"reason_code": "emergency", "explanation": "Unconscious", "patient_id": str(mine)}
    await post(api, people.baker, "break-glass", reason)
    name = {"family": "Quillfether", "given": "Philippa"}
    twin = {"name": name, "birth_date": "1971-03-09", "sex": "female"}
    other = (await post(api, people.reception, "patients", twin))["id"]
    await post(api, people.reception, f"patients/{other}/merge", {"into": str(mine)})
    await rotate(api, url, RotationKind.DEK)
    await rotate(api, url, RotationKind.KEK)
    await post(api, people.reception, f"patients/{other}/unmerge", {})
    for who in (people.admin, people.compliance):
        await post(api, who, f"patients/{other}/erasure", {"reason": "patient-request"})


async def test_a_clinic_where_only_confide_wrote_is_never_accused(
    api: Api, database_url: str, tmp_path: Path
):
    await live_through_everything(api, database_url)
    waiting = await compared(api, database_url)
    assert waiting.sentences()[0].startswith("good: ")
    await drain(database_url)
    await seal(database_url, tmp_path)
    kept = await compared(api, database_url)
    assert (kept.verdict, kept.counts.total()) == (Verdict.GOOD, 0)
    assert kept.rows == waiting.rows > 20


async def test_nothing_is_accused_while_rows_are_written(api: Api, database_url: str):
    done = asyncio.Event()

    async def write() -> None:
        number = 0
        while not done.is_set():
            await rename(api, f"Wren{(number := number + 1)}")

    async def move() -> None:
        while not done.is_set():
            await drain(database_url)

    busy = [asyncio.create_task(write()), asyncio.create_task(move())]
    for _ in range(5):
        assert await found(api, database_url) == []
    done.set()
    await asyncio.gather(*busy)


async def test_one_row_that_was_put_back_is_named_with_the_event_that_contradicts_it(
    api: Api, database_url: str, tmp_path: Path
):
    patient_id = api.people.patient_id
    await keep(database_url, "patient")
    await rename(api, "Wren")
    await drain(database_url)
    await seal(database_url, tmp_path)
    await put_back(database_url, "patient")
    report = await compared(api, database_url)
    assert report.verdict is Verdict.TAMPERED
    (finding,) = report.findings
    assert (finding.kind, finding.table, finding.row_id) == (Kind.OLDER, "patient", str(patient_id))
    assert finding.agrees
    assert finding.contradicts
    assert (finding.agrees["edition"], finding.contradicts["edition"]) == (1, 2)
    assert finding.contradicts["leaf_index"] > finding.agrees["leaf_index"]
    assert str(patient_id) in report.sentences()[1]


async def test_a_row_that_was_put_back_and_written_since_is_still_told(api: Api, database_url: str):
    path = f"patients/{api.people.patient_id}/consents"
    consent = (await post(api, api.people.patient, path, {"decision": "deny"}))["id"]
    await keep(database_url, "consent")
    for _ in range(2):
        await put_back(database_url, "consent")
        await post(api, api.people.patient, f"{path}/{consent}/revoke", {})
    assert await found(api, database_url) == [(Kind.FORKED, "consent", consent)]


async def test_a_table_that_was_put_back_from_a_dump_is_told_row_by_row(
    api: Api, database_url: str
):
    record = api.people.record.id
    await sql(
        database_url,
        "CREATE TABLE heads AS SELECT * FROM record",
        "CREATE TABLE versions AS SELECT * FROM record_version",
    )
    await post(api, api.people.adams, f"records/{record}/sign", {}, 'W/"1"')
    late = await post(
        api,
        api.people.adams,
        f"appointments/{api.people.appointment_id}/records",
        {"kind": "note", "title": "Late", "content": "words"},
    )
    await sql(
        database_url,
        "DELETE FROM record_version",
        "DELETE FROM record",
        "INSERT INTO record SELECT * FROM heads",
        "INSERT INTO record_version SELECT * FROM versions",
    )
    report = await compared(api, database_url)
    assert {(k, n) for k, n in report.counts.items() if k[0] == "record"} == {
        (("record", Kind.OLDER), 1),
        (("record", Kind.MISSING), 1),
    }
    assert report.counts["record_version", Kind.MISSING] == 2
    assert (Kind.MISSING, "record", late["id"]) in await found(api, database_url)


async def test_a_destroyed_key_that_comes_back_is_named(api: Api, database_url: str):
    patient_id = api.people.patient_id
    await keep(database_url, "patient_key")
    for who in (api.people.admin, api.people.compliance):
        await post(api, who, f"patients/{patient_id}/erasure", {"reason": "patient-request"})
    assert await found(api, database_url) == []
    await put_back(database_url, "patient_key")
    await sql(database_url, "UPDATE patient SET active = true, edition = 1")
    kinds = {(kind, table) for kind, table, _ in await found(api, database_url)}
    assert kinds == {(Kind.OLDER, "patient_key"), (Kind.OLDER, "patient")}


async def test_a_key_wrapped_as_before_its_rotation_is_named(api: Api, database_url: str):
    await keep(database_url, "patient_key")
    await rotate(api, database_url, RotationKind.KEK)
    await put_back(database_url, "patient_key")
    ((kind, table, _),) = await found(api, database_url)
    assert (kind, table) == (Kind.OLDER, "patient_key")


@pytest.mark.parametrize(
    ("statement", "kind", "table"),
    [
        ("DELETE FROM appointment_change", Kind.MISSING, "appointment_change"),
        ("UPDATE record SET sensitivity = 'V'", Kind.ALTERED, "record"),
        ("UPDATE record SET edition = edition + 1", Kind.ALTERED, "record"),
        ("UPDATE identifier SET value = value || '\\x00'", Kind.ALTERED, "identifier"),
        ("INSERT INTO care_team SELECT gen_random_uuid(), patient_id, doctor_id FROM appointment",
         Kind.UNKNOWN, "care_team"),
    ],
)  # fmt: skip
async def test_what_was_altered_taken_away_or_put_in_is_named(
    api: Api, database_url: str, statement: str, kind: Kind, table: str
):
    visit = f"appointments/{api.people.appointment_id}"
    await post(api, api.people.reception, f"{visit}/check-in", {})
    if "care_team" in statement:
        statement = statement.replace("doctor_id FROM", "doctor_id, NULL, now(), NULL FROM")
    await sql(database_url, statement)
    assert {(k, t) for k, t, _ in await found(api, database_url)} == {(kind, table)}


async def test_an_erased_number_that_comes_back_is_named(api: Api, database_url: str):
    await keep(database_url, "identifier")
    patient_id = api.people.patient_id
    for who in (api.people.admin, api.people.compliance):
        await post(api, who, f"patients/{patient_id}/erasure", {"reason": "patient-request"})
    await sql(database_url, "INSERT INTO identifier SELECT * FROM kept")
    assert [(k, t) for k, t, _ in await found(api, database_url)] == [(Kind.RETURNED, "identifier")]


async def test_an_event_that_its_producer_did_not_seal_excuses_nothing(api: Api, database_url: str):
    await sql(database_url, "UPDATE record SET sensitivity = 'V', edition = 2")
    connection = await asyncpg.connect(database_url)
    row = await connection.fetchrow("SELECT * FROM record")
    forged = event(rows=(anchor(metadata.tables["record"], row),))
    boot = api.clinic.trail._producer.boot
    await connection.execute(
        "INSERT INTO audit.outbox (event_id, body, seal, created_at) VALUES ($1, $2, $3, now())",
        forged.id, forged.body(Stamp(boot, 999)), bytes(32),
    )  # fmt: skip
    await connection.close()
    assert [(k, t) for k, t, _ in await found(api, database_url)] == [(Kind.ALTERED, "record")]


async def test_an_event_that_is_not_what_was_sealed_is_named(
    api: Api, database_url: str, tmp_path: Path
):
    await drain(database_url)
    await seal(database_url, tmp_path)
    await sql(
        database_url,
        "SET session_replication_role = replica",
        "ALTER TABLE audit.event DISABLE TRIGGER ALL",
        "UPDATE audit.event SET body = replace(convert_from(body, 'UTF8'), '\"rule\":\"', '\"rule\":\"x')::bytea"
        " WHERE action = 'book'",
    )
    assert {k for k, _, _ in await found(api, database_url)} == {Kind.EVENT}


async def test_rows_older_than_the_oldest_event_kept_leave_the_answer_incomplete(
    api: Api, database_url: str
):
    await sql(database_url, "DELETE FROM audit.outbox")
    assert (await compared(api, database_url)).verdict is Verdict.TAMPERED
    later = now() + timedelta(days=8 * 365)
    said = event(
        action="prune", reason=f"before {now() + timedelta(days=2):%Y-%m-%d}", occurred_at=later
    )
    async with role(database_url, LEDGER) as database:
        await store(database, [said.body()])
    report = await compared(api, database_url)
    assert {kind for _, kind in report.counts} == {Kind.PRUNED}
    assert report.verdict is Verdict.INCOMPLETE


@pytest.mark.usefixtures("api")
async def test_the_command_tells_by_its_exit_code(database_url: str, tmp_path: Path):
    environment = {"CONFIDE_HOME": str(tmp_path), "CONFIDE_DATABASE_URL": database_url}

    def verify(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "api.cli", "verify", "records", *options]
        return subprocess.run(
            command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False
        )

    good = verify("--json")
    assert (good.returncode, json.loads(good.stdout)["result"]) == (0, "good")
    await sql(database_url, "UPDATE record SET locked = true")
    bad = verify("--json")
    told = json.loads(bad.stdout)
    assert (bad.returncode, told["count"]) == (1, 1)
    assert (told["findings"][0]["table"], told["findings"][0]["kind"]) == ("record", "row-altered")


async def test_what_no_event_names_cannot_be_committed(api: Api):
    row = CareTeam(patient_id=api.people.patient_id, account_id=api.people.nurse.subject.id)
    with pytest.raises(AssertionError, match="no event names"):
        async with api.clinic.database.transaction() as session:
            await add(session, row)
