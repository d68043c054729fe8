"""The README's story and the quickstart, run as they are written: their own commands, on the stack that `make run` starts."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from core.embedded.home import port
from tests.servers import CHECKOUT, open_folder, require_rabbitmq

README = (CHECKOUT / "README.md").read_text()
QUICKSTART = (CHECKOUT / "docs/quickstart.md").read_text()


@dataclass(frozen=True)
class Running:
    """A whole stack, and the environment in which commands find it."""

    base: str
    environment: dict[str, str]

    def run(self, script: str) -> str:
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            env=self.environment,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def stack() -> Iterator[Running]:
    require_rabbitmq()
    home = open_folder()
    number = str(port(home, "api"))
    tools = Path(sys.executable).parent
    environment = {
        **os.environ,
        "CONFIDE_HOME": str(home),
        "CONFIDE_PORT": number,
        "PATH": f"{tools}:{os.environ['PATH']}",
    }
    log = (home / "dev.log").open("w")
    command = [sys.executable, "-m", "api.cli", "dev"]
    process = subprocess.Popen(command, env=environment, cwd=CHECKOUT, stdout=log, stderr=log)
    running = Running(f"http://127.0.0.1:{number}", environment)
    try:
        await_introduction(process, home / "dev.log")
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        log.close()
        running.run(f"rm -rf {home}")


def await_introduction(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while "Ctrl-C stops everything" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def shell(page: str) -> list[str]:
    """The shell commands of a page, for the environment that the tests run in."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    return [b.replace(".venv/bin/confide", f"{sys.executable} -m api.cli") for b in blocks]


def test_the_readmes_story_comes_true(stack: Running):
    (script,) = shell(README)
    separated = script.replace("# 200:", "; echo # 200:").replace("# 404:", "; echo # 404:")
    record, refusal, events = map(json.loads, stack.run(separated).strip().splitlines())
    assert record["content"]
    assert record["title"]
    assert (refusal["status"], refusal["code"]) == (404, "not-found")
    seen = [(e["outcome"], e["rule"] is not None) for e in events["items"]]
    assert seen == [("deny", False), ("allow", True)]
    assert {e["resource_id"] for e in events["items"]} == {record["id"]}


def test_the_quickstart_books_a_visit_and_shows_who_looked(stack: Running):
    _start, book, look = shell(QUICKSTART)
    booking = book.strip().rpartition("\n\n")[2]
    answers = stack.run(f"{book}\necho\n{booking}\necho\n{look}").strip()
    first, again, events = answers.splitlines()[:3]
    assert json.loads(first)["status"] == "booked"
    assert json.loads(again)["id"] == json.loads(first)["id"]
    assert json.JSONDecoder().raw_decode(events)[0]["items"]


def test_a_command_prints_its_result_and_nothing_else(stack: Running):
    token = stack.run(f"{sys.executable} -m api.cli token --as nurse@demo")
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", token)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"])
def test_what_machines_and_people_look_at_first_answers(stack: Running, path: str):
    assert httpx.get(stack.base + path, timeout=5).status_code == 200


def test_a_second_stack_in_the_same_home_is_refused_in_words(stack: Running):
    command = [sys.executable, "-m", "api.cli", "dev"]
    second = subprocess.run(
        command, env=stack.environment, cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "already" in second.stdout or "taken" in second.stdout
