"""The OpenAPI document before foreign judges, from npm: Redocly's rules, score and comparison, and Spectral's with OWASP's.

And the running service before Schemathesis, with the tokens of two doctors whose patients are not each other's.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.app import create_app
from core.settings import Settings
from records.identity import sessions
from records.identity.tokens import Tokens
from tests.clinics import keyring, open_clinic, populate
from tests.npm import install
from tests.running import running

HERE = Path(__file__).parent
PACKAGES = ("@redocly/cli@2", "@stoplight/spectral-cli@6", "@stoplight/spectral-owasp-ruleset@2")
SCORE = 89
DOCUMENT = "docs/openapi.json"
ENDING = ("/v1/me/sessions", "/v1/me/sessions/{session_id}", "/v1/me/password")
"""Would end the sessions that the tokens are of."""
SECONDS = int(os.environ.get("CONFIDE_SCHEMATHESIS_SECONDS", "45"))
"""How long to go on; `CONFIDE_SCHEMATHESIS_SECONDS=1800` is a search by night."""
LIMITS = ("--max-time", str(SECONDS), "--max-examples", "2", "--seed", "7", "--no-color")
RULES = """
hooks = "tests.schemathesis_hooks"

[checks.positive_data_acceptance]
# What the schema allows may still break a rule between fields, or come too late.
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 410, 412, 415, 422, 423, 428, 429, 503]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 410, 412, 413, 415, 422, 423, 428, 429, 503]

[checks.missing_required_header]
expected-statuses = [400, 401, 403, 404, 422, 428]
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the judges, their rules and the document."""
    folder = install(tmp_path_factory.mktemp("judges"), *PACKAGES)
    for rules in ("redocly.yaml", "spectral.yaml"):
        shutil.copy(HERE / rules, folder)
    document = create_app(Settings(environment="development")).openapi()
    (folder / "openapi.json").write_text(json.dumps(document))
    return folder


def judged(desk: Path, *command: str) -> subprocess.CompletedProcess[str]:
    program = desk / "node_modules/.bin" / command[0]
    said = [str(program), *command[1:]]
    return subprocess.run(said, cwd=desk, capture_output=True, text=True, timeout=200, check=False)


def test_redocly_has_nothing_to_say_against_it(desk: Path):
    found = judged(desk, "redocly", "lint", "openapi.json", "--format", "json")
    assert json.loads(found.stdout)["problems"] == [], found.stdout[:3000]


def test_its_score_is_that_of_the_best(desk: Path):
    found = judged(desk, "redocly", "score", "openapi.json", "--format", "json")
    assert json.loads(found.stdout)["agentReadiness"] >= SCORE


def test_spectral_and_owasp_find_no_error(desk: Path):
    found = judged(
        desk, "spectral", "lint", "openapi.json", "-r", "spectral.yaml", "-q", "-D", "-F", "error"
    )
    assert found.returncode == 0, found.stdout[:3000]


def test_an_operation_that_is_gone_is_a_break(desk: Path):
    less = json.loads((desk / "openapi.json").read_text())
    del less["paths"]["/v1/me"]
    (desk / "less.json").write_text(json.dumps(less))
    assert broken(desk, "openapi.json", "less.json")


def test_nothing_is_broken_that_was_released(desk: Path):
    (desk / "released.json").write_text(released())
    assert broken(desk, "released.json", "openapi.json") == ""


def broken(desk: Path, before: str, after: str) -> str:
    """Return what Redocly finds broken; nothing, if all is well."""
    found = judged(desk, "redocly", "diff", before, after, "--fail-on", "major")
    return found.stdout if found.returncode else ""


def released() -> str:
    """Return the document of the newest release; before there is one, that of the last commit."""
    tag = git("describe", "--tags", "--abbrev=0") or "HEAD"
    return git("show", f"{tag}:{DOCUMENT}") or pytest.skip("there is no history here")


def git(*words: str) -> str:
    command = ["git", "-C", str(HERE.parent), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@asynccontextmanager
async def serve(
    database_url: str, home: Path, issuer: str, names: Iterable[str] = ("adams", "baker")
) -> AsyncIterator[dict[str, str]]:
    """Fill a clinic; yield an access token of each by name: of the doctors, unless others are meant."""
    chosen = Settings(home=home, environment="development", issuer=issuer)
    keyring(home)
    tokens, made = Tokens.of(chosen), {}
    async with open_clinic(database_url, home) as clinic:
        people = await populate(clinic)
        async with clinic.database.transaction() as session:
            for name in names:
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
    (folder / "schemathesis.toml").write_text(f"{RULES}\n[auth.wfc]\n{chosen}")
    return folder / "schemathesis.toml"


async def test_what_is_answered_is_what_the_document_says(database_url: str, tmp_path: Path):
    async with running(serve, database_url, tmp_path) as (issuer, tokens):
        command = [str(Path(sys.executable).parent / "schemathesis")]
        command += ["--config-file", str(peers(tmp_path, tokens)), "run", *LIMITS]
        for path in ENDING:
            command += ["--exclude-path", path]
        process = await asyncio.create_subprocess_exec(
            *command,
            f"{issuer}/openapi.json",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        )
        said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said[-5000:]
    tested = re.search(r"Selected: (\d+)/\d+\s+Tested: (\d+)", said)
    assert tested, said[-5000:]
    assert int(tested[1]) == int(tested[2]) > 150
