"""A stolen disk is noise: no word of a patient is in the database's files, the broker's folder or any log."""

import json
import re
import shutil
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from core.embedded import postgres, rabbitmq
from core.embedded.home import port
from core.embedded.processes import Family
from tests.bundles import resource, small_bundle
from tests.leaks import find
from tests.outside import outside
from tests.pipelines import Pipeline
from tests.servers import confide, every_row, execute, open_folder, require_rabbitmq
from tests.synthea import Bundle, read_bundles

MRN = "http://hospital.smarthealthit.org"
PLANTED = "Wolfeschlegelsteinhausen"
"""A doctor's bio says it: bios are public, and what is public must be found."""


def words_of(bundle: Bundle) -> set[str]:
    """Return what must not get out: names, numbers, addresses, and every text about health."""
    patient = bundle.patient
    (name, *_), (home, *_) = patient["name"], patient["address"]
    found = {name["family"], f"{name['given'][0]} {name['family']}", *name["given"], *home["line"]}
    found |= {i["value"] for i in patient["identifier"]} | {p["value"] for p in patient["telecom"]}
    found |= {patient["birthDate"], home["city"]}
    for kind, given, encounter in bundle.written():
        code = (
            given.get("medicationCodeableConcept") if kind == "MedicationRequest" else given["code"]
        )
        found |= {code["text"], code["coding"][0]["display"], encounter["type"][0]["text"]}
    return {word for word in found if len(word) > 4}


def secret_words(bundles: list[Bundle]) -> set[str]:
    return set().union(*map(words_of, bundles)) - public_words(bundles)


def public_words(bundles: list[Bundle]) -> set[str]:
    """Return what is in clear by design: the names of doctors, and the days of visits (one was born at one)."""
    practitioners = next(outside("synthea").glob("practitioner*.json")).read_text()
    doctors = [json.dumps(d["name"]) for b in bundles for d in b.resources["Practitioner"]]
    days = {e["period"]["start"][:10] for bundle in bundles for e in bundle.ambulatory()}
    return days | set(re.findall(r"[\w'-]{3,}", f"{practitioners} {doctors}"))


@dataclass(frozen=True)
class Disk:
    """What a thief has, and the words to look for: those that were not there before the import."""

    home: Path
    words: set[str]


class Machine(Pipeline):
    """Everything that `make run` starts, in one folder."""

    def __init__(self) -> None:
        home = open_folder()
        self.servers = Family(home)
        broker = rabbitmq.start(home, self.servers, require_rabbitmq())
        super().__init__(postgres.start(home, self.servers), rabbitmq.url(home), home)
        self.environment["CONFIDE_PORT"] = str(port(home, "api"))
        self.run("migrate")
        self.run("seed")
        rabbitmq.await_ready(home, broker)
        self.start("serve", "worker", "relay")

    def run(self, *argv: str | Path, code: int = 0) -> str:
        """Run a command. What it says is one more log, unless that is a token."""
        done = confide(self.url, self.home, *argv, CONFIDE_PORT=str(port(self.home, "api")))
        with (self.home / "logs" / "commands.log").open("a") as log:
            log.write(done.stderr + ("" if argv[0] == "token" else done.stdout))
        assert done.returncode == code, done.stderr
        return done.stdout

    def speak_as(self, login: str) -> httpx.Client:
        token = self.run("token", "--as", login).strip()
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{port(self.home, 'api')}", headers=headers)

    def stop(self) -> None:
        self.family.stop("serve", "worker", "relay")
        self.servers.stop("broker", "epmd", "postgres")


@pytest.fixture(scope="module")
def bundles() -> list[Bundle]:
    require_rabbitmq()
    return read_bundles(outside("synthea"))


@pytest.fixture(scope="module")
async def disk(
    bundles: list[Bundle], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Disk]:
    """The folder of a machine on which the patients were imported and read, and which was then stolen."""
    machine = Machine()
    try:
        patterns = tmp_path_factory.mktemp("leaks") / "patterns"
        known = set(find(secret_words(bundles), machine.home, patterns))
        broken = broken_bundle(bundles[0], machine.home.with_name(f"{machine.home.name}.json"))
        adams = ("--care-team", "dr.adams@demo")
        machine.run("import", "fhir", outside("synthea"), broken, *adams, code=1)
        broken.unlink()
        desk, doctor = machine.speak_as("reception@demo"), machine.speak_as("dr.adams@demo")
        with desk, doctor:
            for bundle in bundles:
                read(bundle, desk, doctor)
            misbehave(bundles[0], desk)
        await execute(machine.url, f"UPDATE doctor SET bio = '{PLANTED}' WHERE family = 'Adams'")
        await machine.drained(30)
        await execute(machine.url, "CHECKPOINT")
        (machine.home / "dump.json").write_text(json.dumps(await every_row(machine.url)))
        machine.stop()
        yield Disk(machine.home, secret_words(bundles) - known)
    finally:
        machine.stop()
        shutil.rmtree(machine.home, ignore_errors=True)


def broken_bundle(bundle: Bundle, file: Path) -> Path:
    """Save a bundle that has a patient's name where a date belongs."""
    spoilt = small_bundle()
    name = bundle.patient["name"]
    resource(spoilt, "p1").update(name=name, birthDate=name[0]["family"])
    file.write_bytes(orjson.dumps(spoilt))
    return file


def read(bundle: Bundle, desk: httpx.Client, doctor: httpx.Client) -> None:
    """Find the patient by number, read everything, and see that it was this patient's."""
    wanted = {"identifier": {"system": MRN, "value": bundle.mrn}}
    (found,) = desk.post("/v1/patients/search", json=wanted).raise_for_status().json()["items"]
    assert found["name"]["family"] == bundle.patient["name"][0]["family"]
    for tail in ("", "/coverages", "/appointments", "/records?limit=100"):
        doctor.get(f"/v1/patients/{found['id']}{tail}").raise_for_status()


def misbehave(bundle: Bundle, desk: httpx.Client) -> None:
    """Send PHI where it does not belong: what is refused must not be kept either."""
    (name, *_) = bundle.patient["name"]
    body: dict[str, Any] = {
        "name": {"family": name["family"], "given": name["given"]},
        "sex": "male",
    }
    taken = [{"system": MRN, "value": bundle.mrn, "type": "MR"}]
    whole = body | {"birth_date": bundle.patient["birthDate"], "identifiers": taken}
    assert desk.post("/v1/patients", json=whole).status_code == 409
    assert desk.post("/v1/patients", json=body | {"birth_date": name["family"]}).status_code == 422
    assert desk.post("/v1/patients", content=name["family"].encode()).status_code == 415
    assert desk.get(f"/v1/patients/{name['family']}").status_code in {400, 404, 422}


def test_no_word_of_a_patient_is_on_the_disk(disk: Disk, tmp_path: Path):
    assert len(disk.words) > 300
    assert find(disk.words, disk.home, tmp_path / "patterns") == {}


def test_what_is_public_is_found_in_the_files_of_the_database_and_in_the_dump(
    disk: Disk, tmp_path: Path
):
    files = find([PLANTED], disk.home, tmp_path / "patterns")[PLANTED]
    assert any(file.startswith("postgres/data/base/") for file in files)
    assert any(file.startswith("postgres/data/pg_wal/") for file in files)
    assert "dump.json" in files


def test_the_brokers_folder_holds_the_events_that_went_through_it(disk: Disk, tmp_path: Path):
    dump = json.loads((disk.home / "dump.json").read_text())
    months = [name for name in dump if name.startswith("audit.event")]
    events = [event for name in months for event in dump[name]]
    ids = [re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", event)[0] for event in events[-200:]]
    files = set().union(*find(ids, disk.home / "broker", tmp_path / "patterns").values())
    assert files


def test_every_process_has_a_log_that_was_searched(disk: Disk):
    there = {log.name for log in (disk.home / "logs").iterdir()}
    assert {
        "serve.log",
        "worker.log",
        "relay.log",
        "broker.log",
        "postgres.log",
        "commands.log",
    } <= there


@pytest.mark.parametrize(
    "written",
    [
        lambda word: word.encode(),
        lambda word: word.encode("utf-16-le"),
        lambda word: word.encode().hex().encode(),
        lambda word: json.dumps(word).encode(),
        lambda word: b64encode(b'{"name": "' + word.encode() + b'"}'),
        lambda word: b64encode(b'{ "name": "' + word.encode() + b'"}'),
        lambda word: b64encode(b'{  "name": "' + word.encode() + b'"}'),
    ],
)
def test_the_search_finds_a_planted_word_however_it_is_written(written: Any, tmp_path: Path):
    folder = tmp_path / "searched"
    folder.mkdir()
    (folder / "noise").write_bytes(bytes(range(256)) * 9 + written("Agustín Fonseca") + b"\0\n\xff")
    found = find(["Agustín Fonseca", "Nobody Here"], folder, tmp_path / "patterns")
    assert found == {"Agustín Fonseca": {"noise"}}
