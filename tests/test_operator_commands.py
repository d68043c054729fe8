"""What an operator of a production clinic does from the command line: the first administrator, and a look at the parts."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from api.cli import app
from core.settings import settings
from records.identity.accounts import named
from tests.apis import Api, serve
from tests.servers import confide

CHOSEN = "seven green herons at dawn"
FIRST = "ada@clinic.example"


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def run(url: str, home: Path, *argv: str, **settings: str) -> tuple[int, str]:
    done = await asyncio.to_thread(confide, url, home, *argv, **settings)
    return done.returncode, done.stdout or done.stderr


async def test_the_first_administrator_of_a_production_clinic_is_made_and_chooses_a_password(
    api: Api, database_url: str, tmp_path: Path
):
    production = {"CONFIDE_ENVIRONMENT": "production"}
    argv = ("accounts", "create", FIRST, "--role", "admin", "--json")
    code, said = await run(database_url, tmp_path, *argv, **production)
    assert code == 0, said
    link = parse_qs(urlsplit(json.loads(said)["invitation"]).query)["link"][0]
    form = {"link": link, "password": CHOSEN, "again": CHOSEN}
    assert (await api.http.post("/oauth/password", data=form)).status_code == 200
    account = await named(api.clinic, FIRST)
    assert account is not None
    assert account.roles == ["admin"]
    assert account.password_hash.startswith("$argon2id$")

    code, _ = await run(database_url, tmp_path, "accounts", "deactivate", FIRST, **production)
    assert code == 0
    ended = await named(api.clinic, FIRST)
    assert ended is not None
    assert not ended.active
    code, said = await run(database_url, tmp_path, "accounts", "list", "--json", **production)
    assert [a["active"] for a in json.loads(said) if a["id"] == str(account.id)] == [False]


@pytest.mark.usefixtures("api")
async def test_an_account_that_nobody_has_is_refused_with_code_1(database_url: str, tmp_path: Path):
    code, said = await run(database_url, tmp_path, "accounts", "reset-mfa", "nobody@clinic.example")
    assert code == 1
    assert "no account has this name" in said


async def test_the_rules_are_read_and_asked_and_a_no_has_an_exit_code_of_its_own(
    api: Api, database_url: str, tmp_path: Path
):
    its = {"HOME": tmp_path, "DATABASE_URL": database_url, "ENVIRONMENT": "development"}
    env = {f"CONFIDE_{name}": str(value) for name, value in its.items()}

    async def asked(*argv: str) -> tuple[int, Any]:
        settings.cache_clear()
        line = ["policies", *argv, "--json"]
        done = await asyncio.to_thread(CliRunner().invoke, app, line, env=env)
        settings.cache_clear()
        return done.exit_code, json.loads(done.stdout)

    code, told = await asked("show")
    in_force = api.clinic.policy.snapshot.version
    assert (code, told["version"]) == (0, in_force)
    assert {"hard-own-account", "policy-explain"} <= {rule["id"] for rule in told["rules"]}
    code, told = await asked("versions")
    assert (code, told[0]["version"]) == (0, in_force)
    record = str(api.people.record.id)
    code, told = await asked("who-can", "read", "record", record)
    may = {account["account_id"] for account in told}
    adams, baker = (str(who.subject.id) for who in (api.people.adams, api.people.baker))
    assert (code, adams in may, baker in may) == (0, True, False)
    for who, code, allowed in ((adams, 0, True), (baker, 3, False)):
        said = await asked("check", who, "read", "record", record)
        assert (said[0], said[1]["allowed"], said[1]["version"]) == (code, allowed, in_force)


async def test_status_says_what_is_there_and_what_is_away(
    api: Api, database_url: str, tmp_path: Path
):
    home = {"CONFIDE_BROKER_URL": "amqp://guest@127.0.0.1:9//"}
    code, said = await run(database_url, tmp_path, "status", "--json", **home)
    told = json.loads(said)
    assert (code, told["troubles"]) == (1, ["broker"])
    assert told["parts"]["database"] == "ok"
    assert told["parts"]["policy"] == api.clinic.policy.snapshot.version
    assert told["parts"]["schema"] == told["parts"]["schema_newest"]
    assert told["parts"]["keys"] == {"record": 1, "index": 1, "audit": 1}

    nowhere = database_url.replace(urlsplit(database_url).netloc.split(":")[-1], "9")
    code, said = await run(nowhere, tmp_path, "status", "--json", CONFIDE_BROKER_URL="memory://")
    assert (code, json.loads(said)["troubles"]) == (1, ["database"])


def commands() -> Iterator[tuple[str, Any]]:
    def each(command: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield " ".join(before), command
        for name, below in getattr(command, "commands", {}).items():
            yield from each(below, (*before, name))

    return each(get_command(app))


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_explains_itself_with_an_example(name: str):
    command = dict(commands())[name]
    assert command.help
    assert f"confide {name}" in (command.epilog or "")
