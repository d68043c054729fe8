"""What an operator of a production clinic does from the command line: the first administrator, and a look at the parts."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.main import get_command

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
    from api.cli import app

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
