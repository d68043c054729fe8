"""docker-compose.yml cannot be run everywhere; what it promises can be read."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from api.cli import app

ROOT = Path(__file__).resolve().parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service.get("image") == "confide")


def test_every_part_of_the_stack_is_a_service():
    assert set(SERVICES) == {
        "postgres",
        "rabbitmq",
        "migrate",
        "api",
        "worker",
        "relay",
        "sealer",
        "chores",
    }


def test_no_password_stands_in_the_file():
    given = [f"{k}={v}" for s in SERVICES.values() for k, v in s.get("environment", {}).items()]
    secrets = [
        pair for pair in given if "PASS" in pair.split("=")[0] or "_URL" in pair.split("=")[0]
    ]
    assert secrets
    assert all("PASSWORD:?" in pair for pair in secrets)


def test_nothing_is_published_beyond_this_machine():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(str(port).startswith("127.0.0.1:") for port in ports)


def test_tokens_are_issued_for_the_address_that_is_published():
    (port,) = SERVICES["api"]["ports"]
    published = port.rpartition(":")[0]
    assert f"http://{published}" in SERVICES["api"]["environment"]["CONFIDE_ISSUER"]


@pytest.mark.parametrize("name", ["postgres", "rabbitmq", "api", "worker"])
def test_a_long_running_service_has_a_healthcheck(name: str):
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", OURS)
def test_our_processes_are_unprivileged(name: str):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", ["api", "worker", "relay", "sealer", "chores"])
def test_a_process_waits_for_the_migrations(name: str):
    assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_every_command_of_the_file_is_a_command_of_confide():
    known = CliRunner().invoke(app, ["--help"]).output
    commands = [s["command"] for s in (SERVICES[name] for name in OURS)]
    words = [c[1] if c[0] == "confide" else c[2].split()[1] for c in commands]
    assert all(word in known for word in words)


def pins(lock: str) -> set[str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return set(re.findall(r"^[\w.-]+==[\w.]+", text, re.MULTILINE))


def test_the_image_holds_all_that_a_setting_may_ask_for_in_the_versions_that_are_tested():
    assert "requirements/image.txt" in (ROOT / "Dockerfile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        name
        for x in ("kms", "telemetry", "analysis")
        for name in extras["optional-dependencies"][x]
    ]
    assert set(wanted) <= {pin.partition("==")[0] for pin in pins("image")}
    assert pins("run") < pins("image") < pins("dev")


def test_the_image_runs_as_an_ordinary_user():
    assert "\nUSER confide\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", ["worker", "relay", "sealer"])
def test_who_carries_or_seals_events_has_the_key_of_the_trail_alone(name: str):
    assert SERVICES[name]["environment"]["CONFIDE_KMS"].endswith("?purposes=audit")
    assert SERVICES[name]["environment"]["CONFIDE_DATABASE_URL"]


def test_only_the_sealer_has_the_folder_of_the_logs_key():
    having = [n for n, s in SERVICES.items() if any("/sealer" in v for v in s.get("volumes", ()))]
    assert having == ["sealer"]
