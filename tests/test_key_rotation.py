"""Keys turn over while the clinic works: nothing is unreadable for a moment, and a killed rotation goes on."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from core.crypto.kek import KeyPurpose
from core.database import Database
from core.errors import Conflict, Forbidden, NotFound
from core.ids import new_id
from records.clinic import Clinic
from records.clinical.models import RecordKind
from records.clinical.reading import read_record
from records.clinical.writing import Draft, write_record
from records.custody import versions
from records.custody.dek import protected
from records.custody.models import KeyRotation, RotationKind, RotationState
from records.custody.rotation import ROLE, read_rotation, request_rotation, step, work
from records.people.reading import read_patient
from tests.clinics import People, open_clinic, outbox, populate


@pytest.fixture
async def clinic(database_url: str, tmp_path: Path) -> AsyncIterator[Clinic]:
    async with open_clinic(database_url, tmp_path) as clinic:
        yield clinic


@pytest.fixture
async def people(clinic: Clinic) -> People:
    return await populate(clinic)


@pytest.fixture
async def rotor(database_url: str) -> AsyncIterator[Database]:
    """The database as the chore has it: under the role of rotations."""
    database = Database(database_url, role=ROLE, size=1)
    await database.open()
    yield database
    await database.close()


async def ask(
    clinic: Clinic, people: People, kind: RotationKind, patient_id: UUID | None = None
) -> KeyRotation:
    async with clinic.database.transaction() as session:
        return await request_rotation(session, clinic, people.admin, kind, patient_id=patient_id)


async def sql(url: str, statement: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement, *values)
    finally:
        await connection.close()


async def test_only_an_administrator_rotates_keys(clinic: Clinic, people: People):
    for who in ["adams", "nurse", "reception", "patient", "compliance"]:
        with pytest.raises((Forbidden, NotFound)):
            async with clinic.database.transaction() as session:
                await request_rotation(session, clinic, getattr(people, who), RotationKind.KEK)


async def test_a_rotation_for_nobody_is_not_found(clinic: Clinic, people: People):
    with pytest.raises(NotFound):
        await ask(clinic, people, RotationKind.DEK, new_id())


async def test_a_kek_that_still_wraps_is_not_destroyed(clinic: Clinic, people: People):
    clinic.vault.provider.add_version(KeyPurpose.RECORD)
    with pytest.raises(Conflict):
        async with clinic.database.transaction() as session:
            await versions.destroy(session, clinic, people.admin, KeyPurpose.RECORD, 1)


async def test_after_a_kek_rotation_the_old_version_is_needed_by_nothing(
    clinic: Clinic, people: People, rotor: Database, database_url: str
):
    rotation = await ask(clinic, people, RotationKind.KEK)
    await work(rotor, clinic.vault.provider, 20)
    ended = await read_rotation(clinic, people.admin, rotation.id)
    assert (ended["state"], ended["done"], ended["failed"]) == (RotationState.DONE, 1, 0)
    assert [r["kek_version"] for r in await sql(database_url, "SELECT * FROM patient_key")] == [2]
    async with clinic.database.transaction() as session:
        await versions.destroy(session, clinic, people.admin, KeyPurpose.RECORD, 1)
    event = (await outbox(database_url))[-1]
    assert (event["action"], event["resource_type"], event["reason"]) == (
        "delete",
        "key",
        "record 1",
    )
    clinic.vault._cache.clear()
    assert (await read_record(clinic, people.adams, people.record.id)).title == "Megrims"


async def test_a_backup_of_wrapped_keys_is_noise_once_their_kek_is_destroyed(
    clinic: Clinic, people: People, rotor: Database, database_url: str
):
    (old,) = await sql(database_url, "SELECT * FROM patient_key")
    await ask(clinic, people, RotationKind.KEK)
    await work(rotor, clinic.vault.provider, 20)
    async with clinic.database.transaction() as session:
        await versions.destroy(session, clinic, people.admin, KeyPurpose.RECORD, 1)
    restore = "UPDATE patient_key SET wrapped = $1, kek_version = 1 WHERE key_id = $2"
    await sql(database_url, restore, old["wrapped"], old["key_id"])
    clinic.vault._cache.clear()
    with pytest.raises(Exception, match="erased"):
        await read_record(clinic, people.adams, people.record.id)


async def test_after_a_dek_rotation_every_cell_is_under_the_new_key_and_reads_as_before(
    clinic: Clinic, people: People, rotor: Database, database_url: str
):
    before = await read_patient(clinic, people.reception, people.patient_id)
    rotation = await ask(clinic, people, RotationKind.DEK)
    await work(rotor, clinic.vault.provider, 20)
    keys = await sql(database_url, "SELECT * FROM patient_key ORDER BY version")
    assert [(k["version"], k["state"]) for k in keys] == [(1, "decrypt_only"), (2, "active")]
    for kind in protected():
        rows = await sql(database_url, f'SELECT DISTINCT key_id FROM "{kind.__tablename__}"')
        assert {r["key_id"] for r in rows} <= {keys[1]["key_id"]}, kind
    clinic.vault._cache.clear()
    after = await read_patient(clinic, people.reception, people.patient_id)
    assert (after.phi, after.identifiers) == (before.phi, before.identifiers)
    assert (await read_record(clinic, people.adams, people.record.id)).title == "Megrims"
    assert (await read_rotation(clinic, people.admin, rotation.id))["failed"] == 0


async def test_a_row_that_a_slow_writer_sealed_under_the_old_key_is_moved_too(
    clinic: Clinic, people: People, rotor: Database, database_url: str
):
    await ask(clinic, people, RotationKind.DEK)
    draft = Draft(RecordKind.NOTE, "Late", {"text": "Written while keys turned."})
    async with clinic.database.transaction() as session:
        late = await write_record(session, clinic, people.adams, people.appointment_id, draft)
        await step(rotor, clinic.vault.provider, clinic.trail)  # begins
        await step(
            rotor, clinic.vault.provider, clinic.trail
        )  # the patient's key turns; this row is not visible yet
    await work(rotor, clinic.vault.provider, 20)
    sealed = "SELECT state FROM record_version JOIN patient_key USING (key_id) WHERE record_id = $1"
    assert [r["state"] for r in await sql(database_url, sealed, late.id)] == ["active"]
    assert (await read_record(clinic, people.adams, late.id)).title == "Late"


async def test_a_row_that_does_not_open_is_left_and_counted_and_the_rest_goes_on(
    clinic: Clinic, people: People, rotor: Database, database_url: str
):
    await sql(database_url, "UPDATE appointment SET reason = set_byte(reason, 80, 0)")
    rotation = await ask(clinic, people, RotationKind.DEK)
    await work(rotor, clinic.vault.provider, 20)
    ended = await read_rotation(clinic, people.admin, rotation.id)
    assert (ended["state"], ended["failed"]) == (RotationState.DONE, 1)
    assert (await read_record(clinic, people.adams, people.record.id)).title == "Megrims"
