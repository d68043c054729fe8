"""The servers of a test session: one PostgreSQL and one RabbitMQ, in a folder that goes with the session."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import asyncpg
import pytest

from api.commands.stack import STOP_ORDER
from core.embedded import postgres, rabbitmq
from core.embedded.processes import Family

CHECKOUT = Path(__file__).resolve().parents[1]
HASTE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_numbers = itertools.count(1)


MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of ours is made in it
ROOM = 4 << 30
"""Bytes of memory that must be free there before servers are put into it."""


def open_folder() -> Path:
    """Make a temporary folder that PostgreSQL, run as nobody where we are root, can reach.

    In memory where there is room: a test's database is 1,500 small files, copied in 13 ms there and in 300 on a disk.
    """
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix="confide-test-", dir=MEMORY if roomy else None))
    folder.chmod(0o755)
    return folder


class Servers:
    """Started when first asked for, stopped at the session's end."""

    def __init__(self) -> None:
        self.home = open_folder()
        self.family = Family(self.home)
        self._broker: Future[str | None] | None = None

    def postgres(self) -> str:
        """Return the owner's URL of a server that trades durability for speed."""
        given = os.environ.get("CONFIDE_TEST_DATABASE_URL")
        return given or postgres.start(self.home, self.family, HASTE)

    def broker(self) -> Future[str | None]:
        """Start the broker in the background; the future holds its URL, or None where there can be none."""
        if self._broker is None:
            self._broker = Future()
            Thread(target=self._bring_broker, args=[self._broker], daemon=True).start()
        return self._broker

    def stop(self) -> None:
        self.family.stop(*STOP_ORDER)
        shutil.rmtree(self.home, ignore_errors=True)

    def _bring_broker(self, url: Future[str | None]) -> None:
        try:
            url.set_result(os.environ.get("CONFIDE_TEST_BROKER_URL") or self._start_broker())
        except Exception as failure:  # noqa: BLE001 - raised again by whoever waits
            url.set_exception(failure)

    def _start_broker(self) -> str | None:
        installation = find_rabbitmq()
        if installation is None:
            return None
        rabbitmq.await_ready(self.home, rabbitmq.start(self.home, self.family, installation))
        return rabbitmq.url(self.home)


def find_rabbitmq() -> rabbitmq.Installation | None:
    """Find RabbitMQ, or fetch it to where `make run` looks for it too, once a checkout."""
    return rabbitmq.obtain(Path(os.environ.get("CONFIDE_HOME", CHECKOUT / ".confide")).resolve())


def require_rabbitmq() -> rabbitmq.Installation:
    """Return RabbitMQ, or skip the test; in CI it must be there."""
    return find_rabbitmq() or refuse_without_broker()


def refuse_without_broker() -> rabbitmq.Installation:
    reason = "no RabbitMQ is installed and none could be fetched"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, in CI")
    pytest.skip(reason)


async def execute(url: str, statement: str) -> None:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def in_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


@asynccontextmanager
async def cloned(postgres: str, template: str) -> AsyncIterator[str]:
    """A migrated, empty database for as long as the block runs; `template` is where it comes from."""
    name = f"confide_test_{next(_numbers)}"
    await execute(postgres, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    origin = urlsplit(template).path[1:]
    await execute(postgres, f"CREATE DATABASE {name} TEMPLATE {origin} STRATEGY file_copy")
    yield in_database(template, name)
    await execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def confide(
    url: str, home: Path, *argv: str | Path, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of ours as an operator does, in a process of its own."""
    environment = {
        **os.environ,
        "CONFIDE_ENVIRONMENT": "development",
        "CONFIDE_HOME": str(home),
        "CONFIDE_DATABASE_URL": url,
        **settings,
    }
    command = [sys.executable, "-m", "api.cli", *argv]
    return subprocess.run(
        command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False
    )


def migrate(url: str, home: Path) -> None:
    """Bring a database up to date the way an operator does."""
    done = confide(url, home, "migrate")
    if done.returncode != 0:
        pytest.fail(f"`confide migrate` failed:\n{done.stdout}{done.stderr}")


async def every_row(url: str) -> dict[str, list[str]]:
    """Return every row of every table of ours as text, by table."""
    connection = await asyncpg.connect(url)
    names = await connection.fetch(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace IN ('public'::regnamespace, 'audit'::regnamespace)"
    )
    found = {}
    for (name,) in names:
        rows = await connection.fetch(f"SELECT t::text FROM {name} t ORDER BY 1")
        found[name] = [row["t"] for row in rows]
    await connection.close()
    return found


async def lasting_rows(url: str) -> dict[str, list[str]]:
    """Return every row, but for the sign of life of whichever processes are running."""
    found = await every_row(url)
    return {name: rows for name, rows in found.items() if name != "policy_process"}
