"""`confide login`, `whoami`, `token` and `logout`: a login by device code, kept in a file of its owner's alone."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.logins import NAME, PASSWORD, Service, hidden, serve
from tests.running import running


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[str, Service]]:
    async with running(serve, database_url, tmp_path) as found:
        yield found


async def begun(home: Path, *arguments: str) -> asyncio.subprocess.Process:
    environment = os.environ | {"XDG_CONFIG_HOME": str(home / "config"), "CONFIDE_HOME": str(home)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api.cli", *arguments,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def run(home: Path, *arguments: str) -> tuple[int, str, str]:
    process = await begun(home, *arguments)
    out, err = await process.communicate()
    return int(process.returncode or 0), out.decode(), err.decode()


async def decide(issuer: str, code: str, consent: str) -> None:
    async with httpx.AsyncClient(base_url=issuer) as http:
        page = await http.get("/oauth/device", params={"user_code": code})
        page = await http.post("/oauth/device", data={"user_code": code})
        form = hidden(page.text) | {"username": NAME, "password": PASSWORD}
        page = await http.post("/oauth/device", data=form)
        page = await http.post("/oauth/device", data=hidden(page.text) | {"consent": consent})
        assert page.status_code == 200, page.text


async def log_in(home: Path, issuer: str, consent: str = "yes") -> tuple[int, str]:
    process = await begun(home, "login", "--server", issuer)
    assert process.stderr
    said = (await process.stderr.readline()).decode()
    found = re.search(r"[A-Z]{4}-[A-Z]{4}", said)
    assert found, said
    await decide(issuer, found[0], consent)
    _, err = await process.communicate()
    return int(process.returncode or 0), err.decode()


async def test_a_login_is_kept_renewed_used_and_ended(place: tuple[str, Service], tmp_path: Path):
    issuer, service = place
    code, _, said = await run(tmp_path, "whoami")
    assert code == 1
    assert "confide login" in said
    assert (await log_in(tmp_path, issuer))[0] == 0
    file = tmp_path / "config" / "confide" / "login.json"
    assert file.stat().st_mode & 0o777 == 0o600
    _, out, _ = await run(tmp_path, "whoami")
    assert json.loads(out)["account_id"] == str(service.account.id)
    kept = json.loads(file.read_text())
    file.write_text(json.dumps(kept | {"expires_at": 0}))
    (_, one, _), (_, two, _) = await asyncio.gather(run(tmp_path, "token"), run(tmp_path, "token"))
    assert one == two != kept["access_token"] + "\n", "two commands renew it once"
    assert (await service.me(one.strip())).status_code == 200
    assert (await run(tmp_path, "logout"))[0] == 0
    assert not file.exists()
    await asyncio.sleep(1)
    assert (await service.me(one.strip())).status_code == 401


async def test_who_is_not_let_in_is_told_so_and_nothing_is_kept(
    place: tuple[str, Service], tmp_path: Path
):
    code, said = await log_in(tmp_path, place[0], "no")
    assert code == 1
    assert "access_denied" in said
    assert not (tmp_path / "config" / "confide" / "login.json").exists()


async def test_a_login_is_not_sent_in_clear_through_the_network(tmp_path: Path):
    code, _, said = await run(tmp_path, "login", "--server", "http://clinic.example")
    assert code == 1
    assert "https://" in said
