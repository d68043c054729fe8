import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from core.embedded import debian, postgres
from core.embedded.home import port
from core.embedded.processes import Command, Family, ProcessError
from tests.embedded_homes import (
    PARENT,
    await_end_of,
    outer_address,
    processes_of,
    program,
    python_for,
)
from tests.servers import CHECKOUT, HASTE, execute, require_rabbitmq

Parent = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def family(home: Path) -> Iterator[Family]:
    family = Family(home)
    yield family
    family.stop("broker", "epmd", "postgres")


@pytest.fixture
def parent(home: Path) -> Iterator[Parent]:
    """Start a process that starts the servers of `home`, and return it once they are up."""
    started = []

    def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
        python = options.pop("python", sys.executable)
        command = [python, "-c", PARENT, home, *arguments]
        paths = {"PYTHONPATH": str(CHECKOUT), "PG_BIN": str(postgres.binaries())}
        process = subprocess.Popen(
            command, env={**os.environ, **paths}, stdout=subprocess.PIPE, text=True, **options
        )
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    await_end_of(home)


def test_kill_9_of_the_parent_leaves_no_postgres_no_broker_and_no_epmd(parent: Parent, home: Path):
    require_rabbitmq()
    process = parent(os.environ.get("CONFIDE_HOME", str(CHECKOUT / ".confide")), "broker")
    names = {program(pid) for pid in processes_of(home)}
    assert {"postgres", "beam.smp", "epmd"} <= names
    process.kill()
    await_end_of(home)


def test_sigint_of_the_parent_stops_everything_in_order(parent: Parent, home: Path):
    process = parent()
    process.send_signal(signal.SIGINT)
    process.wait(20)
    assert processes_of(home) == []
    assert "database system is shut down" in (home / "logs/postgres.log").read_text()


def test_an_ordinary_user_can_run_it(parent: Parent, home: Path):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else; and we are an ordinary user already")
    python = python_for("nobody")
    shutil.chown(home, "nobody")
    parent(user="nobody", group="nogroup", extra_groups=[], python=python)
    assert (home / "postgres/data").owner() == "nobody"
    assert (home / "postgres/password").owner() == "nobody"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")
def test_root_runs_it_as_nobody_where_nobody_can_reach(family: Family, home: Path):
    postgres.start(home, family, HASTE)
    assert Path(f"/proc/{family.children['postgres'].process.pid}").owner() == "nobody"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")
def test_root_runs_it_in_a_user_namespace_where_nobody_cannot_reach(family: Family, home: Path):
    home.chmod(0o700)
    assert postgres.identify(postgres.binaries(), home).prefix == postgres.UNSHARE
    postgres.start(home, family, HASTE)
    assert (home / "postgres/data").owner() == "root"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")
def test_a_home_opened_up_since_the_last_run_still_starts(home: Path):
    for mode in (0o700, 0o755, 0o700):
        home.chmod(mode)
        family = Family(home)
        postgres.start(home, family, HASTE)
        family.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")
def test_root_without_any_way_is_told_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch):
    home.chmod(0o700)
    monkeypatch.setattr(postgres, "UNSHARE", ("false",))
    with pytest.raises(
        ProcessError, match=r"refuses to run as root.*CONFIDE_HOME.*CONFIDE_DATABASE_URL"
    ):
        postgres.identify(postgres.binaries(), home)


async def test_data_survives_a_restart_even_after_kill_9_of_everything(home: Path):
    family = Family(home)
    url = postgres.start(home, family)
    await execute(url, "CREATE TABLE kept AS SELECT 42 AS number")
    for pid in processes_of(home):
        os.kill(pid, signal.SIGKILL)
    await_end_of(home)
    family.stop()
    again = Family(home)
    user = postgres.identify(postgres.binaries(), home).user
    other = again.spawn(
        "other", Command(["sleep", "60"], user=user)
    )  # has the dead one's number now
    (home / "postgres/data/postmaster.pid").write_text(f"{other.process.pid}\n")
    assert postgres.start(home, again) == url
    await execute(url, "DROP TABLE kept")
    again.stop()


def test_a_server_that_runs_already_in_the_home_is_a_clear_message(
    family: Family, home: Path, monkeypatch: pytest.MonkeyPatch
):
    postgres.start(home, family, HASTE)
    monkeypatch.setattr("core.embedded.home.await_vacant.__kwdefaults__", {"seconds": 0.2})
    with pytest.raises(
        ProcessError, match=r"a server already uses .*data \(process \d+\).*CONFIDE_HOME"
    ):
        postgres.start(home, Family(home), HASTE)


async def test_two_homes_run_side_by_side(family: Family, home: Path):
    (home / "other").mkdir()
    urls = (
        postgres.start(home, family, HASTE),
        postgres.start(home / "other", other := Family(home), HASTE),
    )
    for number, url in enumerate(urls):
        await execute(url, f"CREATE TABLE own{number} ()")
    other.stop()
    assert len({port(folder, "postgres") for folder in (home, home / "other")}) == 2


async def test_being_on_the_machine_opens_nothing_without_the_password(family: Family, home: Path):
    url = postgres.start(home, family, HASTE)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.replace(":" + url.split(":")[2].split("@")[0], ":guess"))


async def test_the_log_of_the_server_holds_no_value(family: Family, home: Path):
    url = postgres.start(home, family, HASTE)
    await execute(
        url, "CREATE TABLE people (name text PRIMARY KEY, born date CHECK (born > '1900-01-01'))"
    )
    await execute(url, "INSERT INTO people VALUES ('Miller-Secret', '2000-01-01')")
    for statement in (
        "INSERT INTO people VALUES ('Miller-Secret', '2000-01-01')",
        "INSERT INTO people VALUES ('Miller-Secret2', '1800-01-01')",
        "SELECT 'Miller-Secret'::uuid",
        "SELEKT 'Miller-Secret'",
    ):
        with pytest.raises(asyncpg.PostgresError):
            await execute(url, statement)
    assert "Secret" not in (home / "logs/postgres.log").read_text()


def test_a_package_that_does_not_exist_leaves_nothing_half_done(home: Path):
    if not debian.available():
        pytest.skip("not a Debian")
    with pytest.raises(ProcessError, match=r"apt-get failed"):
        debian.fetch(["no-such-package-anywhere"], home / "nothing")
    assert [path.name for path in home.iterdir()] == ["nothing.lock"]


def test_programs_of_a_fetched_package_run_with_its_environment(home: Path):
    if not debian.available():
        pytest.skip("not a Debian")
    (home / "root/usr/bin").mkdir(parents=True)
    (home / "root/usr/bin/hello").write_text("#!/bin/sh\necho hello\n")
    (home / "root/usr/bin/hello").chmod(0o755)
    environment = {**os.environ, **debian.environment(home / "root")}
    assert subprocess.check_output(["hello"], env=environment, text=True) == "hello\n"  # noqa: S607


def test_the_broker_refuses_the_password_everyone_knows(broker: str):
    from amqp import Connection
    from amqp.exceptions import AccessRefused

    address = broker.split("@")[1].rstrip("/")
    with pytest.raises(AccessRefused):
        Connection(host=address, userid="guest", password="guest").connect()


def test_the_broker_accepts_its_own_and_is_on_loopback_only(broker: str):
    from kombu import Connection

    with Connection(broker) as connection:
        connection.connect()
        number = connection.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((outer_address(), number), 1)
