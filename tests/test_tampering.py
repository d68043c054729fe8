"""Whoever can write the database can swap, cut and flip what is sealed: not one byte of plain text comes of it.

Every sealed column of every table is attacked in every way. The tables are taken from the metadata, so a new one is attacked by itself.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from os import urandom
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import ARRAY, Boolean, Date, DateTime, Integer, LargeBinary, Table, Uuid

import records.tables  # noqa: F401 - every table with sealed cells is attacked
from core.clock import now
from core.crypto.envelope import DataKey
from core.ids import new_id
from policies.issue import issue
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.base import Protected, phi_columns, table_of
from records.clinic import Clinic, Unreadable
from records.custody.dek import protected
from records.vault.models import KeyState, PatientKey
from records.vault.vault import sealed_rows
from tests.apis import Api, serve
from tests.clinics import People, open_clinic, populate, slip_in

CANARY = "canary-of-the-attacked"
PARTS = {
    "magic": 0,
    "suite": 1,
    "version": 2,
    "type": 3,
    "key id": 11,
    "nonce": 12,
    "commitment": 30,
    "text": 56,
    "tag": -1,
}
"""A byte of each part of a cell."""
LOOSEN = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I CASCADE', conrelid::regclass, conname)
FROM pg_constraint WHERE contype IN ('c', 'f', 'x', 'u') AND connamespace = 'public'::regnamespace
"""


@dataclass
class Target:
    """A row to attack, one of the same patient, one of another, and what is in the three."""

    kind: type[Protected]
    mine: UUID
    sibling: UUID
    foreign: UUID
    cells: dict[UUID, dict[str, bytes]]


@dataclass
class Scene:
    clinic: Clinic
    people: People
    connection: asyncpg.Connection
    keys: dict[str, PatientKey]
    targets: list[Target]


@pytest.fixture
async def scene(database_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    """Two patients with three rows in every table of sealed cells, and a database without rules."""
    async with open_clinic(database_url, tmp_path) as clinic:
        people = await populate(clinic)
        connection = await asyncpg.connect(database_url)
        for row in await connection.fetch(LOOSEN):
            await connection.execute(row[0])
        await connection.execute("SET session_replication_role = replica")
        mine, other = new_id(), new_id()
        newest, key = await clinic.vault.new_key(mine, version=2)
        oldest, _ = await clinic.vault.new_key(mine)
        oldest.state = KeyState.DECRYPT_ONLY
        theirs, their_key = await clinic.vault.new_key(other)
        await slip_in(clinic, oldest, newest, theirs)
        targets = [
            await _target(clinic, connection, kind, (mine, key), (other, their_key))
            for kind in protected()
        ]
        keys = {"newest": newest, "oldest": oldest, "theirs": theirs}
        yield Scene(clinic, people, connection, keys, targets)
        await connection.close()


async def _target(
    clinic: Clinic,
    connection: asyncpg.Connection,
    kind: type[Protected],
    *owners: tuple[UUID, DataKey],
) -> Target:
    (mine, key), (other, their_key) = owners
    resource, cells, ids = new_id(), dict[UUID, dict[str, bytes]](), list[UUID]()
    for patient_id, sealing in ((mine, key), (mine, key), (other, their_key)):
        resource_id = patient_id if kind.resource == "patient_id" else resource
        row_id = new_id()
        permit = _permit(resource_id, patient_id)
        sealed = clinic.vault.seal(
            permit, kind, sealing, row_id, **{c.name: CANARY for c in phi_columns(kind)}
        )
        needed = [c for c in table_of(kind).columns if not c.nullable and c.computed is None]
        values = {c.name: _filler(c.type) for c in needed}
        values |= {"id": row_id, "patient_id": patient_id, "key_id": sealing.key_id}
        if kind.resource != "id":
            values |= {kind.resource: resource_id}
        await _insert(connection, table_of(kind), values | sealed)
        ids.append(row_id)
        cells[row_id] = {name: bytes(cell) for name, cell in sealed.items()}
    return Target(kind, *ids, cells)


def _filler(kind: Any) -> Any:
    """Return any value that a column takes."""
    values = {
        Uuid: new_id(),
        Boolean: True,
        Integer: 1,
        DateTime: now(),
        Date: now().date(),
        LargeBinary: urandom(16),
        ARRAY: [],
    }
    return next((value for of, value in values.items() if isinstance(kind, of)), "x")


async def _insert(connection: asyncpg.Connection, table: Table, values: dict[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in values)
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    await connection.execute(
        f'INSERT INTO "{table.name}" ({names}) VALUES ({places})', *values.values()
    )


def _permit(resource_id: UUID, patient_id: UUID) -> Permit:
    return issue(
        subject_id=new_id(),
        action=Action.READ,
        resource_type=ResourceType.PATIENT,
        patient_id=patient_id,
        row_ids=frozenset({resource_id}),
        event_id=new_id(),
        policy_version=1,
        rule_id="test",
    )


def _forgeries(target: Target, column: str) -> Iterator[tuple[str, bytes]]:
    """Yield what an attacker puts in a cell's place."""
    mine = target.cells[target.mine]
    cell = mine[column]
    for part, at in PARTS.items():
        forged = bytearray(cell)
        forged[at] ^= 1
        yield f"bit of {part}", bytes(forged)
    for length in (0, 1, 12, 55, len(cell) - 1):
        yield f"cut to {length}", cell[:length]
    for tail in (b"\0", cell[-16:], cell):
        yield f"{len(tail)} bytes more", cell + tail
    yield "the same column of another row", target.cells[target.sibling][column]
    yield "the same column of another patient", target.cells[target.foreign][column]
    for other in mine:
        if other != column:
            yield f"{other} of the same row", mine[other]
    yield "plain text", CANARY.encode()


async def _read(scene: Scene, target: Target, column: str) -> str:
    """Read one cell as the service does; return the refusal, or what it let out."""
    table = table_of(target.kind)
    async with scene.clinic.database.transaction() as session:
        found = await session.execute(sealed_rows(target.kind).where(table.c.id == target.mine))
    row = dict(found.mappings().one())
    row |= {c.name: None for c in phi_columns(target.kind) if c.name != column}
    permit = _permit(row["resource_id"], row["patient_id"])
    try:
        opened = await scene.clinic.reveal(scene.people.adams, permit, target.kind, row)
    except Unreadable as refusal:
        return refusal.code if CANARY not in f"{refusal} {refusal.__context__!r}" else "told"
    return f"opened: {opened[column]!r}"


async def test_no_forged_cell_of_any_column_of_any_table_opens(scene: Scene):
    attacks, let_out = 0, list[str]()
    for target in scene.targets:
        table = table_of(target.kind).name
        for column, cell in target.cells[target.mine].items():
            write = f'UPDATE "{table}" SET "{column}" = $1 WHERE id = $2'
            for how, forged in _forgeries(target, column):
                await scene.connection.execute(write, forged, target.mine)
                attacks += 1
                if (told := await _read(scene, target, column)) != "integrity":
                    let_out.append(f"{table}.{column}, {how}: {told}")
            await scene.connection.execute(write, cell, target.mine)
            assert await _read(scene, target, column) == f"opened: {CANARY!r}"
    assert let_out == []
    assert attacks >= 600


async def test_no_row_opens_under_another_key_or_as_another_patients(scene: Scene):
    newest, oldest, theirs = (scene.keys[name] for name in ("newest", "oldest", "theirs"))
    attacks = 0
    for target in scene.targets:
        table, columns = table_of(target.kind).name, list(target.cells[target.mine])
        for change, value, was in (
            ("key_id", theirs.key_id, newest.key_id),
            ("key_id", oldest.key_id, newest.key_id),
            ("patient_id", theirs.patient_id, newest.patient_id),
        ):
            write = f'UPDATE "{table}" SET {change} = $1 WHERE id = $2'
            await scene.connection.execute(write, value, target.mine)
            for column in columns:
                assert await _read(scene, target, column) == "integrity", (table, column, change)
                attacks += 1
            await scene.connection.execute(write, was, target.mine)
    assert attacks >= 90


@pytest.mark.parametrize("whose", ["theirs", "oldest"])
@pytest.mark.parametrize("what", ["wrapped", "whole row"])
async def test_no_row_opens_with_the_wrapped_key_of_another_patient_or_an_older_one(
    scene: Scene, whose: str, what: str
):
    newest, other = scene.keys["newest"], scene.keys[whose]
    columns = {"wrapped": other.wrapped}
    if what == "whole row":
        columns |= {"version": other.version, "kek_version": other.kek_version}
    names = ", ".join(f"{name} = ${n}" for n, name in enumerate(columns, 2))
    await scene.connection.execute(
        f"UPDATE patient_key SET {names} WHERE key_id = $1", newest.key_id, *columns.values()
    )
    scene.clinic.vault._cache.clear()
    for target in scene.targets:
        for column in target.cells[target.mine]:
            assert await _read(scene, target, column) == "integrity", (target.kind, column)


async def test_a_key_declared_alive_again_after_its_destruction_opens_nothing(scene: Scene):
    """The bytes are gone: an attacker who puts the state back, with bytes of his own, has nothing to put there."""
    newest = scene.keys["newest"]
    await scene.connection.execute(
        "UPDATE patient_key SET wrapped = $2 WHERE key_id = $1", newest.key_id, bytes(104)
    )
    scene.clinic.vault._cache.clear()
    assert {
        await _read(scene, target, column)
        for target in scene.targets
        for column in target.cells[target.mine]
    } == {"integrity"}


# The same over HTTP: reading and writing


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def test_over_http_a_forged_cell_is_an_error_with_a_code_and_leaves_an_event(
    api: Api, database_url: str
):
    people = api.people
    reads = {
        ("patient", "name"): (people.reception, f"/v1/patients/{people.patient_id}"),
        ("appointment", "reason"): (people.adams, f"/v1/appointments/{people.appointment_id}"),
        ("record_version", "content"): (people.adams, f"/v1/records/{people.record.id}"),
    }
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET session_replication_role = replica")
    for (table, column), (me, path) in reads.items():
        cell = await connection.fetchval(f"SELECT {column} FROM {table}")
        for at in (0, 3, 20, 40, 60, -1):
            forged = bytearray(cell)
            forged[at] ^= 1
            await connection.execute(f"UPDATE {table} SET {column} = $1", bytes(forged))
            answer = await api.get(me, path)
            assert answer.json()["code"] == "integrity", (table, at)
            assert not {"Quillfeather", "megrims", "Aura"} & set(answer.text.split())
        await connection.execute(f"UPDATE {table} SET {column} = $1", cell)
        assert (await api.get(me, path)).status_code == 200
    failed = "SELECT count(*) FROM audit.outbox WHERE convert_from(body, 'UTF8') LIKE '%\"error\"%'"
    assert await connection.fetchval(failed) >= 18
    await connection.close()


async def test_over_http_nothing_is_written_under_a_key_that_was_put_in_anothers_place(
    api: Api, database_url: str
):
    people = api.people
    connection = await asyncpg.connect(database_url)
    key_id = await connection.fetchval("SELECT key_id FROM patient_key")
    await connection.execute("UPDATE patient_key SET wrapped = $1", bytes(104))
    api.clinic.vault._cache.clear()
    writes = {
        f"/v1/appointments/{people.appointment_id}/records": {
            "kind": "note",
            "title": "x",
            "content": {"text": "x"},
        },
    }
    for path, body in writes.items():
        answer = await api.post(people.adams, path, body)
        assert answer.json()["code"] == "integrity", path
    assert await connection.fetchval("SELECT count(*) FROM record_version") == 1
    assert await connection.fetchval("SELECT key_id FROM patient_key") == key_id
    await connection.close()
