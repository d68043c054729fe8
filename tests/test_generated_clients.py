"""Clients that generators make of the OpenAPI document, in TypeScript and in Python: they compile, and they work."""

import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.npm import install, refuse
from tests.running import running
from tests.test_openapi_judges import serve

DOCUMENT = Path(__file__).parents[1] / "docs/openapi.json"
PACKAGES = ("openapi-typescript@7", "openapi-fetch@0.17", "typescript@5", "@types/node@20")
GENERATOR = "openapi-python-client==0.29.*"
TYPESCRIPT = """
import createClient from "openapi-fetch";
import type { components, paths } from "./confide.js";

const [baseUrl, token] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
const body: components["schemas"]["NewPatient"] = {
  name: { family: "Larkspur", given: ["Lysander"] }, birth_date: "1980-02-03", sex: "male",
};
const made = await client.POST("/v1/patients", { body });
if (made.error) throw new Error(made.error.code);
const path = { patient_id: made.data.id };
const read = await client.GET("/v1/patients/{patient_id}", { params: { path } });
if (read.error) throw new Error(read.error.code);
const page = await client.GET("/v1/patients", { params: { query: { limit: 100 } } });
if (page.error) throw new Error(page.error.code);
console.log(read.data.birth_date, page.data.items.some((patient) => patient.id === path.patient_id));
"""
PYTHON = """
import sys
from datetime import date

from confide_client import AuthenticatedClient
from confide_client.api.patients import list_patients, read_patient, register_patient
from confide_client.models import HumanName, NewPatient, Sex

address, token = sys.argv[1:]
client = AuthenticatedClient(base_url=address, token=token)
name = HumanName(family="Larkspur", given=["Lysander"])
new = NewPatient(name=name, birth_date=date(1980, 2, 3), sex=Sex.MALE)
made = register_patient.sync(client=client, body=new)
read = read_patient.sync(made.id, client=client)
page = list_patients.sync(client=client, limit=100)
print(read.birth_date, any(patient.id == made.id for patient in page.items))
"""
STRICT = [
    "--strict",
    "--target",
    "es2022",
    "--module",
    "nodenext",
    "--types",
    "node",
    "--skipLibCheck",
]


def done(folder: Path, *command: str | Path) -> str:
    """Run a command that must succeed; return what it says."""
    said = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=200, check=False
    )
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]
    return said.stdout


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program of a few lines on the generated types, compiled as strictly as it goes."""
    folder = install(tmp_path_factory.mktemp("typescript"), *PACKAGES)
    programs = folder / "node_modules/.bin"
    done(folder, programs / "openapi-typescript", DOCUMENT, "-o", "confide.d.ts")
    (folder / "smoke.mts").write_text(TYPESCRIPT)
    done(folder, programs / "tsc", *STRICT, "smoke.mts")
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated package beside a program on it, in an environment of its own."""
    folder = tmp_path_factory.mktemp("python")
    uv, here = Path(sys.executable).parent / "uv", folder / ".venv/bin"
    done(folder, uv, "venv", "-q", "--python", sys.executable, ".venv")
    command = [uv, "pip", "install", "-q", "--python", here / "python", GENERATOR]
    if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode != 0:
        refuse(f"{GENERATOR} could not be installed")
    told = done(
        folder,
        here / "openapi-python-client",
        "generate",
        "--path",
        DOCUMENT,
        "--output-path",
        "client",
    )
    assert "WARNING parsing" not in told, told[:3000]
    done(folder, here / "python", "-m", "compileall", "-q", "client")
    (folder / "client/smoke.py").write_text(PYTHON)
    return folder


@pytest.fixture
async def reached(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """The address of a running clinic, and its front desk's token."""
    desk = partial(serve, names=("reception",))
    async with running(desk, database_url, tmp_path) as (issuer, tokens):
        yield issuer, tokens["reception"]


async def test_generated_clients_register_read_and_list(
    reached: tuple[str, str], typescript: Path, python: Path
):
    programs = (
        (typescript, ["node", "smoke.mjs"], "1980-02-03 true"),
        (python / "client", ["../.venv/bin/python", "smoke.py"], "1980-02-03 True"),
    )
    for folder, program, said in programs:
        assert done(folder, *program, *reached).strip() == said
