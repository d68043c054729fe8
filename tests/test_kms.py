"""A clinic whose key-encryption keys are in Vault: it works, and when Vault is away it says so and goes on."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import pytest

from api.commands.provision import make_keys
from core.crypto.keyring import open_provider
from core.database import Database
from core.errors import Unavailable
from core.settings import Settings
from records.clinic import Clinic
from records.clinical.reading import read_record
from records.custody.models import RotationKind, RotationState
from records.custody.rotation import ROLE, read_rotation, request_rotation, work
from records.people.reading import read_patient
from tests.clinics import People, populate
from tests.transit import TOKEN, Engine, transit


@pytest.fixture
def engine() -> Iterator[Engine]:
    with transit() as engine:
        yield engine


@pytest.fixture
def settings(engine: Engine, home: Path) -> Settings:
    token = home / "token"
    token.touch(0o600)
    token.write_text(TOKEN)
    return Settings(home=home, kms=f"vault:{engine.address}?token-file={token}")


@pytest.fixture
async def clinic(database_url: str, settings: Settings) -> AsyncIterator[Clinic]:
    make_keys(settings)
    async with Clinic.open(database_url, open_provider(settings.kms), pool=4) as clinic:
        yield clinic


@pytest.fixture
async def people(clinic: Clinic) -> People:
    return await populate(clinic)


def test_keys_init_makes_the_keys_in_vault_once(settings: Settings):
    made = make_keys(settings)
    assert made[:3] == ["confide-record", "confide-index", "confide-audit"]
    assert make_keys(settings) == []


async def test_with_vault_away_what_is_in_memory_is_read_and_the_rest_is_unavailable(
    clinic: Clinic, people: People, engine: Engine
):
    await read_record(clinic, people.adams, people.record.id)
    engine.status = 503
    assert (await read_record(clinic, people.adams, people.record.id)).title == "Megrims"
    clinic.vault._cache.clear()
    engine.calls.clear()
    with pytest.raises(Unavailable) as refusal:
        await read_record(clinic, people.adams, people.record.id)
    assert refusal.value.code == "key-unavailable"
    assert len(engine.calls) == 1
    engine.status = 0
    assert (await read_record(clinic, people.adams, people.record.id)).title == "Megrims"


async def test_others_go_on_while_one_waits_for_a_slow_vault(
    clinic: Clinic, people: People, engine: Engine
):
    clinic.vault._cache.clear()
    engine.delay = 0.5
    waiting = asyncio.create_task(read_record(clinic, people.adams, people.record.id))
    longest, began = 0.0, monotonic()
    while not waiting.done():
        before = monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, monotonic() - before)
    assert monotonic() - began > 0.4
    assert longest < 0.3
    assert (await waiting).title == "Megrims"


async def test_a_kek_in_vault_is_rotated_like_any_other(
    clinic: Clinic, people: People, database_url: str
):
    async with clinic.database.transaction() as session:
        rotation = await request_rotation(session, clinic, people.admin, RotationKind.KEK)
    rotor = Database(database_url, role=ROLE, size=1)
    await rotor.open()
    await work(rotor, clinic.vault.provider, 20)
    await rotor.close()
    ended = await read_rotation(clinic, people.admin, rotation.id)
    assert (ended["state"], ended["target"], ended["done"]) == (RotationState.DONE, 2, 1)
    clinic.vault._cache.clear()
    assert (await read_patient(clinic, people.reception, people.patient_id)).phi["name"]
