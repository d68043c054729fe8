"""Schemathesis against the running service, with the tokens of two doctors whose patients are not each other's."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from core.settings import Settings
from records.identity import sessions
from records.identity.tokens import Tokens
from tests.clinics import keyring, open_clinic, populate
from tests.running import running

ENDING = ("/v1/me/sessions", "/v1/me/sessions/{session_id}", "/v1/me/password")
"""Would end the sessions that the tokens are of."""
LIMITS = ("--max-time", "30", "--max-examples", "2", "--seed", "7", "--no-color")
CHECKS = ("--checks", "ignored_auth,object_level_authorization")


@asynccontextmanager
async def serve(database_url: str, home: Path, issuer: str) -> AsyncIterator[dict[str, str]]:
    """Fill a clinic; yield an access token of each doctor by name."""
    chosen = Settings(home=home, environment="development", issuer=issuer)
    keyring(home)
    tokens, made = Tokens.of(chosen), {}
    async with open_clinic(database_url, home) as clinic:
        people = await populate(clinic)
        async with clinic.database.transaction() as session:
            for name in ("adams", "baker"):
                account = getattr(people, name).subject.id
                its = account, "confide-cli", "openid", tokens.life
                made[name] = tokens.access(await sessions.start(session, *its))
    yield made


def peers(folder: Path, tokens: dict[str, str]) -> Path:
    """Write down for Schemathesis who must not see whose objects."""
    users = [
        {"name": n, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {t}"}]}
        for n, t in tokens.items()
    ]
    (folder / "auth.json").write_text(json.dumps({"auth": users}))
    names = list(tokens)
    chosen = f'path = "{folder}/auth.json"\nuser = "{names[0]}"\npeers = {json.dumps(names)}\n'
    (folder / "schemathesis.toml").write_text(f"[auth.wfc]\n{chosen}")
    return folder / "schemathesis.toml"


async def test_no_route_forgets_to_ask_who_it_is_or_whose_it_is(database_url: str, tmp_path: Path):
    async with running(serve, database_url, tmp_path) as (issuer, tokens):
        command = [str(Path(sys.executable).parent / "schemathesis")]
        command += ["--config-file", str(peers(tmp_path, tokens)), "run", *CHECKS, *LIMITS]
        for path in ENDING:
            command += ["--exclude-path", path]
        process = await asyncio.create_subprocess_exec(
            *command,
            f"{issuer}/openapi.json",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said[-5000:]
    tested = re.search(r"Selected: (\d+)/\d+\s+Tested: (\d+)", said)
    assert tested, said[-5000:]
    assert int(tested[1]) == int(tested[2]) > 150
