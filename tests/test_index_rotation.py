"""The key of the blind indexes turns over: who is searched for is found at every moment, and no number is given twice."""

import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from core.crypto.kek import KeyPurpose
from core.database import Database
from core.errors import Conflict
from records.access.me import Me
from records.audit.trail import Trail
from records.clinic import Clinic
from records.custody import blind
from records.custody.models import KeyRotation, RotationKind, RotationState
from records.custody.rotation import ROLE, read_rotation, request_rotation, step, work
from records.people.details import IdentifierDetails
from records.people.registration import register
from records.people.searching import Wanted, search_patients
from records.vault.indexes import LIVING, Indexes
from tests.clinics import DETAILS, MRN, People, open_clinic, populate

NUMBER = IdentifierDetails("MR", MRN, "mrn 4711 qx")
FINDS = (
    Wanted(identifier="MRN-4711-QX"),
    Wanted(family="quillfeather"),
    Wanted(family="Quillfeather", birth_date=DETAILS.birth_date),
    Wanted(phone="+1 555 010 7788"),
)


@pytest.fixture
async def clinic(database_url: str, tmp_path: Path) -> AsyncIterator[Clinic]:
    async with open_clinic(database_url, tmp_path) as clinic:
        yield clinic


@pytest.fixture
async def people(clinic: Clinic) -> People:
    return await populate(clinic)


@pytest.fixture
async def rotor(database_url: str, clinic: Clinic) -> AsyncIterator[tuple[Database, Trail]]:
    database = Database(database_url, role=ROLE, size=1)
    await database.open()
    trail = Trail(database, clinic.vault.provider)
    await trail.start()
    yield database, trail
    await trail.stop()
    await database.close()


async def ask(clinic: Clinic, people: People, **options: object) -> KeyRotation:
    async with clinic.database.transaction() as session:
        return await request_rotation(session, clinic, people.admin, **options)


async def found(clinic: Clinic, me: Me, wanted: Wanted) -> int:
    return len((await search_patients(clinic, me, wanted, limit=50))[0])


async def enrol(clinic: Clinic, people: People, *numbers: IdentifierDetails) -> None:
    async with clinic.database.transaction() as session:
        await register(session, clinic, people.reception, DETAILS, numbers)


async def versions(url: str) -> dict[str, set[int]]:
    connection = await asyncpg.connect(url)
    tables = "patient_token", "identifier"
    rows = {t: await connection.fetch(f"SELECT key_version FROM {t}") for t in tables}
    await connection.close()
    return {table: {row[0] for row in rows[table]} for table in tables}


async def test_a_number_is_not_given_twice_whichever_key_it_stands_under(
    clinic: Clinic,
    people: People,
    rotor: tuple[Database, Trail],
    database_url: str,
    tmp_path: Path,
):
    await ask(clinic, people, kind=RotationKind.INDEX)
    async with open_clinic(database_url, tmp_path) as elsewhere:
        for _ in range(4):  # before it begins, when it has begun, half done, and after its end
            for process in (clinic, elsewhere):
                with pytest.raises(Conflict) as refusal:
                    await enrol(process, people, NUMBER)
                assert refusal.value.code == "identifier-taken"
            await step(rotor[0], clinic.vault.provider, rotor[1])
    assert await versions(database_url) == {"patient_token": {2}, "identifier": {2}}


async def test_everybody_is_found_at_every_step_by_every_process(
    clinic: Clinic,
    people: People,
    rotor: tuple[Database, Trail],
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(blind, "BATCH", 1)
    await enrol(clinic, people)
    rotation = await ask(clinic, people, kind=RotationKind.INDEX)
    seen, expected = list[dict[str, set[int]]](), 2
    async with open_clinic(database_url, tmp_path) as elsewhere:
        while (await read_rotation(clinic, people.admin, rotation.id))["state"] != "done":
            await step(rotor[0], clinic.vault.provider, rotor[1])
            seen.append(await versions(database_url))
            if len(seen) in {1, 2}:  # a new patient while both keys are in use
                await enrol(elsewhere, people)
                expected += 1
            for process in (clinic, elsewhere):
                for wanted in FINDS:
                    n = 1 if wanted.identifier else expected
                    assert await found(process, people.reception, wanted) == n, (seen, wanted)
    assert {1, 2} in [each["patient_token"] for each in seen]
    assert seen[-1] == {"patient_token": {2}, "identifier": {2}}
    ended = await read_rotation(clinic, people.admin, rotation.id)
    assert (ended["total"], ended["failed"]) == (2, 0)


async def test_who_is_amended_while_the_turn_comes_to_them_has_tokens_already_and_they_are_made_anew(
    clinic: Clinic, people: People, rotor: tuple[Database, Trail], database_url: str
):
    await ask(clinic, people, kind=RotationKind.INDEX)
    for _ in range(2):  # begun, and all of them done
        await step(rotor[0], clinic.vault.provider, rotor[1])
    connection = await asyncpg.connect(database_url)
    tokens = "SELECT * FROM patient_token ORDER BY index, token, patient_id"
    made = await connection.fetch(tokens)
    # What the rotation saw when it chose whom to lock, and what the amendment, that had the lock, then committed.
    await connection.execute(
        "INSERT INTO patient_token (index, key_version, token, patient_id)"
        " SELECT index, 1, token, patient_id FROM patient_token"
    )
    await step(rotor[0], clinic.vault.provider, rotor[1])
    assert await connection.fetch(tokens) == made
    await connection.close()


@pytest.mark.parametrize("first", ["look", "turn"])
async def test_who_is_searched_for_is_found_though_all_turns_over_within_the_search(
    clinic: Clinic,
    people: People,
    rotor: tuple[Database, Trail],
    monkeypatch: pytest.MonkeyPatch,
    first: str,
):
    await ask(clinic, people, kind=RotationKind.INDEX)
    real = Indexes.look

    async def look(self: Indexes, database: Database) -> None:
        if first == "look":
            await real(self, database)
        await work(rotor[0], clinic.vault.provider, 20)
        if first == "turn":
            await real(self, database)

    monkeypatch.setattr(Indexes, "look", look)
    for wanted in FINDS:
        assert await found(clinic, people.reception, wanted) == 1


async def test_an_overtaken_answer_about_the_keys_is_not_gone_back_to(
    clinic: Clinic, people: People, rotor: tuple[Database, Trail]
):
    async with clinic.database.transaction() as session:
        late = (await session.execute(LIVING)).mappings().all()
    await ask(clinic, people, kind=RotationKind.INDEX)
    await work(rotor[0], clinic.vault.provider, 20)
    await clinic.indexes.look(clinic.database)
    await clinic.indexes._take(late)
    assert clinic.indexes.version == 2


async def test_under_the_old_key_nobody_is_looked_for_any_more(
    clinic: Clinic, people: People, rotor: tuple[Database, Trail], database_url: str
):
    await ask(clinic, people, kind=RotationKind.INDEX)
    await work(rotor[0], clinic.vault.provider, 20)
    connection = await asyncpg.connect(database_url)
    roots = await connection.fetch("SELECT version, retired FROM index_key ORDER BY version")
    assert [tuple(root) for root in roots] == [(1, True), (2, False)]
    await connection.close()
    await clinic.indexes.look(clinic.database)
    assert clinic.indexes.living == [2]


async def test_logins_outlive_the_key_that_patients_are_found_by(
    clinic: Clinic, people: People, rotor: tuple[Database, Trail]
):
    before = clinic.indexes.login("dr.adams@test"), clinic.indexes.source("x")
    await ask(clinic, people, kind=RotationKind.INDEX)
    await work(rotor[0], clinic.vault.provider, 20)
    await clinic.indexes.look(clinic.database)
    assert (clinic.indexes.login("dr.adams@test"), clinic.indexes.source("x")) == before


async def test_a_row_that_does_not_open_stops_nothing_and_keeps_its_number(
    clinic: Clinic, people: People, rotor: tuple[Database, Trail], database_url: str
):
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE patient SET name = set_byte(name, 60, 0)")
    await connection.execute("UPDATE identifier SET value = set_byte(value, 60, 0)")
    await connection.close()
    rotation = await ask(clinic, people, kind=RotationKind.INDEX)
    await work(rotor[0], clinic.vault.provider, 20)
    ended = await read_rotation(clinic, people.admin, rotation.id)
    assert (ended["state"], ended["failed"]) == (RotationState.DONE, 2)


@pytest.mark.parametrize("purpose", [KeyPurpose.INDEX, KeyPurpose.AUDIT])
async def test_the_keks_of_indexes_and_of_the_trail_turn_over_too(
    clinic: Clinic, people: People, rotor: tuple[Database, Trail], purpose: KeyPurpose
):
    rotation = await ask(clinic, people, kind=RotationKind.KEK, purpose=purpose)
    await work(rotor[0], clinic.vault.provider, 20)
    ended = await read_rotation(clinic, people.admin, rotation.id)
    assert ended["state"] == RotationState.DONE
    assert ended["done"] >= 1
    assert await found(clinic, people.reception, replace(FINDS[0])) == 1


class Distant:
    """A KekProvider that stands for one behind a network: it says what it is asked, and whether from the event loop."""

    remote = True

    def __init__(self, near: Any) -> None:
        self._near = near
        self.asked = list[tuple[str, bool]]()

    def __getattr__(self, name: str) -> Any:
        def asked(*args: Any) -> Any:
            self.asked.append((name, threading.current_thread() is threading.main_thread()))
            return getattr(self._near, name)(*args)

        return asked


async def test_a_later_start_wraps_no_root_key_and_none_is_asked_for_in_the_event_loop(
    clinic: Clinic, people: People, rotor: tuple[Database, Trail]
):
    away = Distant(clinic.vault.provider)
    indexes = await Indexes.load(clinic.database, away)
    assert away.asked == [("unwrap", False)]
    await ask(clinic, people, kind=RotationKind.INDEX)
    await work(rotor[0], clinic.vault.provider, 20)
    await indexes.look(clinic.database)
    assert indexes.version == 2
    assert away.asked == [("unwrap", False)] * 2
