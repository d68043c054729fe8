"""The OpenAPI document before foreign judges, from npm: Redocly's rules, score and comparison, and Spectral's with OWASP's."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from api.app import create_app
from core.settings import Settings
from tests.npm import install

HERE = Path(__file__).parent
PACKAGES = ("@redocly/cli@2", "@stoplight/spectral-cli@6", "@stoplight/spectral-owasp-ruleset@2")
SCORE = 88
DOCUMENT = "docs/openapi.json"


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
