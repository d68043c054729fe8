"""An older dump, restored after a patient was erased: what it held of them is noise, and the trail still proves itself."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

import records.tables  # noqa: F401 - every table with sealed cells is looked at
from core.crypto.envelope import DecryptError
from core.crypto.kek import KeyPurpose
from core.database import Database
from core.embedded.postgres import binaries
from core.embedded.processes import ProcessError
from core.transparency.book import Book
from core.transparency.notes import Key
from records.audit import inspection
from records.audit.log_key import VERIFIER_KEY
from records.audit.sealer import BOOK
from records.audit.verifier.findings import Report, Verdict
from records.clinic import Clinic, Erased
from records.clinical.reading import read_record
from records.custody import versions
from records.custody.dek import protected
from records.custody.erasure import erase
from records.custody.models import ErasureReason, RotationKind
from records.custody.rotation import ROLE, request_rotation, work
from records.people.reading import read_patient
from records.people.registration import register
from records.vault.vault import sealed_rows
from tests.clinics import DETAILS, People, open_clinic, populate
from tests.leaks import find
from tests.sealing import drain, role, seal
from tests.servers import execute, in_database

WORDS = {"Quillfeather", "Philippa", "Nettlebed", "Recurring megrims", "left eye", "MRN-4711-QX"}


def program(name: str) -> Path:
    """Return one of PostgreSQL's programs, or skip where there is a server alone."""
    try:
        path = binaries() / name
    except ProcessError:
        path = Path(shutil.which(name) or name)
    if not path.exists():
        pytest.skip(f"there is no {name} here")
    return path


@dataclass
class Drill:
    """A clinic that erased a patient, and an older dump of it in a database of its own."""

    clinic: Clinic
    people: People
    restored: str
    dump: Path


@pytest.fixture
async def drill(database_url: str, tmp_path: Path) -> AsyncIterator[Drill]:
    restored = in_database(database_url, f"{database_url.rpartition('/')[2]}_restored")
    dump = tmp_path / "older.dump"
    async with open_clinic(database_url, tmp_path) as clinic:
        people = await populate(clinic)
        await read_record(clinic, people.adams, people.record.id)
        await drain(database_url)
        await seal(database_url, tmp_path)
        run(program("pg_dump"), "--format=custom", "--compress=0", f"--file={dump}", database_url)
        await shred(clinic, people, database_url)
        await drain(database_url)
        await seal(database_url, tmp_path)
        await execute(database_url, f'CREATE DATABASE "{restored.rpartition("/")[2]}"')
        run(program("pg_restore"), "--exit-on-error", f"--dbname={restored}", dump)
        yield Drill(clinic, people, restored, dump)
    await execute(database_url, f'DROP DATABASE "{restored.rpartition("/")[2]}" WITH (FORCE)')


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def shred(clinic: Clinic, people: People, url: str) -> None:
    """Erase the patient, and end the KEK that wrapped their key: what operations.md says makes it complete."""
    for me in (people.admin, people.compliance):
        async with clinic.database.transaction() as session:
            reason = ErasureReason.PATIENT_REQUEST
            await erase(session, clinic, me, people.patient_id, reason)
    async with clinic.database.transaction() as session:
        await register(session, clinic, people.reception, DETAILS)
        await request_rotation(session, clinic, people.admin, RotationKind.KEK)
    rotor = Database(url, role=ROLE, size=1)
    await work(rotor, clinic.vault.provider, 20)
    await rotor.close()
    async with clinic.database.transaction() as session:
        await versions.destroy(session, clinic, people.admin, KeyPurpose.RECORD, 1)


async def verified(url: str, home: Path, book: Book) -> Report:
    key = Key.parse((home / VERIFIER_KEY).read_text())
    async with role(url, inspection.ROLE) as database:
        return await inspection.inspect(database, key, book, ())


async def test_a_restored_dump_yields_nothing_of_the_erased_and_the_trail_still_proves_itself(
    drill: Drill, database_url: str, tmp_path: Path, home: Path
):
    people = drill.people
    connection = await asyncpg.connect(drill.restored)
    alive = await connection.fetch("SELECT state, wrapped FROM patient_key")
    await connection.close()
    assert [row["state"] for row in alive] == ["active"], "the dump has the key, as it then was"
    async with open_clinic(drill.restored, tmp_path) as old:
        for read in (
            read_patient(old, people.reception, people.patient_id),
            read_record(old, people.adams, people.record.id),
        ):
            with pytest.raises(Erased):
                await read
        assert await _refusals(old) == ["key_destroyed"] * 5
    assert find(WORDS, tmp_path, home / "patterns") == {}
    live = await verified(database_url, tmp_path, Book(tmp_path / BOOK))
    assert (live.verdict, live.count) == (Verdict.GOOD, 0)
    past = await verified(drill.restored, tmp_path, Book(tmp_path / "no book"))
    assert (past.verdict, past.count) == (Verdict.GOOD, 0)
    assert 0 < past.size < live.size


async def test_a_restored_dump_is_not_taken_for_the_living_trail(drill: Drill, tmp_path: Path):
    report = await verified(drill.restored, tmp_path, Book(tmp_path / BOOK))
    assert report.verdict is Verdict.TAMPERED


async def test_whoever_was_not_erased_is_read_as_before(drill: Drill, database_url: str):
    drill.clinic.vault._cache.clear()
    connection = await asyncpg.connect(database_url)
    others = await connection.fetch("SELECT id FROM patient WHERE active")
    await connection.close()
    assert len(others) == 1
    chart = await read_patient(drill.clinic, drill.people.reception, others[0]["id"])
    assert chart.phi["birth_date"] == DETAILS.birth_date


async def _refusals(clinic: Clinic) -> list[str]:
    """Ask for the key of every sealed row there is; return what was said."""
    said = []
    for kind in protected():
        async with clinic.database.transaction() as session:
            rows = (await session.execute(sealed_rows(kind))).mappings().all()
        for row in rows:
            try:
                clinic.vault.key(row)
            except DecryptError as refusal:
                said.append(str(refusal))
            else:
                said.append("opened")
    return said
