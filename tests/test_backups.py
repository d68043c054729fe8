"""A clinic that is lost comes back from its backup, and from nothing less than a whole one."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.apis import Api, serve
from tests.clinics import People
from tests.servers import confide, execute, in_database, lasting_rows


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    (tmp_path / "home").mkdir()
    async with serve(database_url, tmp_path / "home") as api:
        yield api


@pytest.fixture
async def empty(postgres: str, database_url: str) -> AsyncIterator[str]:
    """The URL of a new database on the same server."""
    name = database_url.rpartition("/")[2] + "_restored"
    await execute(postgres, f"CREATE DATABASE {name}")
    yield in_database(postgres, name)
    await execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def backed_up(url: str, home: Path, target: Path) -> dict[str, object]:
    done = confide(url, home, "backup", target, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.usefixtures("api")
async def test_a_database_that_is_not_empty_is_refused(database_url: str, tmp_path: Path):
    home = tmp_path / "home"
    backed_up(database_url, home, tmp_path / "backup")
    done = confide(database_url, home, "restore", tmp_path / "backup")
    assert done.returncode == 1
    assert "not empty" in done.stderr


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("name", ["database.dump", "attachments.tar"])
async def test_a_damaged_backup_is_refused_before_anything_is_touched(
    database_url: str, empty: str, tmp_path: Path, name: str
):
    home, target = tmp_path / "home", tmp_path / "backup"
    backed_up(database_url, home, target)
    content = bytearray((target / name).read_bytes())
    content[len(content) // 2] ^= 1
    (target / name).write_bytes(content)
    done = confide(empty, home, "restore", target)
    assert done.returncode == 1
    assert "damaged" in done.stderr
    connection = await asyncpg.connect(empty)
    schemas = await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'audit'")
    await connection.close()
    assert schemas == 0


async def test_a_folder_that_is_there_is_refused_and_left_alone(empty: str, tmp_path: Path):
    done = confide(empty, tmp_path, "backup", tmp_path)
    assert (done.returncode, "is there already" in done.stderr) == (1, True)


async def test_a_backup_that_was_cut_short_is_none(empty: str, tmp_path: Path):
    (tmp_path / "database.dump").write_bytes(b"half")
    done = confide(empty, tmp_path, "restore", tmp_path)
    assert done.returncode == 1
    assert "no whole backup" in done.stderr


async def test_a_lost_clinic_comes_back_row_by_row_and_its_records_open(
    api: Api, database_url: str, empty: str, tmp_path: Path
):
    home, target, path = tmp_path / "home", tmp_path / "backup", "/v1/records/"
    before = (await api.get(api.people.adams, path + str(api.people.record.id))).json()
    files = {"file": ("scan.pdf", b"%PDF-1.7 a scan", "application/pdf")}
    there = f"{path}{api.people.record.id}/attachments"
    bearer = await api.bearer(api.people.adams)
    scan = (await api.http.post(there, headers=bearer, files=files)).json()
    rows = await lasting_rows(database_url)
    backed_up(database_url, home, target)
    blobs = home / "attachments"
    blobs.rename(tmp_path / "lost")

    done = confide(empty, home, "restore", target)
    assert done.returncode == 0, done.stderr
    assert await lasting_rows(empty) == rows
    assert confide(empty, home, "migrate").returncode == 0

    async def found(_clinic: object) -> People:
        return api.people

    async with serve(empty, home, found) as restored:
        assert (await restored.get(api.people.adams, path + before["id"])).json() == before
        content = await restored.get(api.people.adams, f"{there}/{scan['id']}")
        assert content.content == b"%PDF-1.7 a scan"


async def test_neither_words_nor_keys_are_in_a_backup(api: Api, database_url: str, tmp_path: Path):
    backed_up(database_url, tmp_path / "home", tmp_path / "backup")
    keyring = json.loads((tmp_path / "home/keyring.json").read_text())
    secrets = [word for word in json.dumps(keyring).split('"') if len(word) > 40]
    content = b"".join(p.read_bytes() for p in (tmp_path / "backup").iterdir())
    assert secrets
    assert not any(s.encode() in content for s in secrets)
    assert api.people.record.title.encode() not in content
