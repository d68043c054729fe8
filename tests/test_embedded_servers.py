import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from rich.console import Console

from api import dev
from api.stack import Stack
from core.embedded import debian, postgres, rabbitmq
from core.embedded.home import port
from core.embedded.processes import Command, Family, ProcessError
from tests.servers import CHECKOUT, HASTE, execute, open_folder, require_rabbitmq

Parent = Callable[..., subprocess.Popen[str]]
PARENT = """
import sys, time
from pathlib import Path
from core.embedded import postgres, rabbitmq
from core.embedded.home import lock
from core.embedded.processes import Family

home = Path(sys.argv[1])
with lock(home):
    family = Family(home)
    try:
        if "broker" in sys.argv:
            broker = rabbitmq.start(home, family, rabbitmq.obtain(Path(sys.argv[2])))
        postgres.start(home, family, {"fsync": "off"})
        if "broker" in sys.argv:
            rabbitmq.await_ready(home, broker)
        print("up", flush=True)
        time.sleep(120)
    finally:
        family.stop("broker", "epmd", "postgres")
"""


@pytest.fixture
def home() -> Iterator[Path]:
    folder = open_folder()
    yield folder
    assert _processes_of(folder) == [], "a test left servers behind"
    shutil.rmtree(folder)


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
    _await_end_of(home)


def test_kill_9_of_the_parent_leaves_no_postgres_no_broker_and_no_epmd(parent: Parent, home: Path):
    require_rabbitmq()
    process = parent(os.environ.get("CONFIDE_HOME", str(CHECKOUT / ".confide")), "broker")
    names = {_program(pid) for pid in _processes_of(home)}
    assert {"postgres", "beam.smp", "epmd"} <= names
    process.kill()
    _await_end_of(home)


def test_sigint_of_the_parent_stops_everything_in_order(parent: Parent, home: Path):
    process = parent()
    process.send_signal(signal.SIGINT)
    process.wait(20)
    assert _processes_of(home) == []
    assert "database system is shut down" in (home / "logs/postgres.log").read_text()


def test_an_ordinary_user_can_run_it(parent: Parent, home: Path):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else; and we are an ordinary user already")
    python = _python_for("nobody")
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
    for pid in _processes_of(home):
        os.kill(pid, signal.SIGKILL)
    _await_end_of(home)
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


def test_a_port_that_is_taken_is_a_clear_message(home: Path, capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert dev.run(home, taken) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"port {taken} of 127.0.0.1 is taken" in said
    assert f"CONFIDE_PORT={taken + 1}" in said


def test_a_stop_asked_for_while_everything_starts_leaves_nothing(home: Path):
    port_of_api = str(port(home, "api"))
    environment = {
        **os.environ,
        "CONFIDE_HOME": str(home),
        "CONFIDE_PORT": port_of_api,
        "CONFIDE_BROKER_URL": "amqp://127.0.0.1:1//",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "dev"],
        env=environment,
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while not _processes_of(home):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert _processes_of(home) == []
    assert not (home / "stack.json").exists()


def test_of_two_signals_the_second_does_not_cut_the_stop_short():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    try:
        dev._on_signals(dev._interrupt)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


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


def test_without_rabbitmq_and_apt_messages_go_through_files_and_a_warning_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PATH", str(home))
    monkeypatch.delenv("CONFIDE_BROKER_URL", raising=False)
    monkeypatch.setattr(rabbitmq, "DEBIAN", home / "nowhere")
    assert Stack(home, 8000, Console())._choose_broker() == "filesystem://"
    assert "No RabbitMQ here" in capsys.readouterr().out


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
        socket.create_connection((_outer_address(), number), 1)


def test_a_broker_that_fell_starts_again(family: Family, home: Path):
    installation = require_rabbitmq()
    rabbitmq.await_ready(home, first := rabbitmq.start(home, family, installation))
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    rabbitmq.await_ready(home, rabbitmq.start(home, family, installation))
    assert family.children["broker"].exit_code is None


def _processes_of(home: Path) -> list[int]:
    """All processes that work in the home, by their folder, except our own."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            folder = (process / "cwd").readlink()
        except OSError:
            continue
        if folder.is_relative_to(home):
            found.append(int(process.name))
    return found


def _program(pid: int) -> str:
    return Path(f"/proc/{pid}/exe").readlink().name


def _await_end_of(home: Path) -> None:
    deadline = time.monotonic() + 20
    while _processes_of(home):
        assert time.monotonic() < deadline, f"still there: {_processes_of(home)}"
        time.sleep(0.1)


def _python_for(user: str) -> str:
    for python in (sys.executable, "/usr/bin/python3"):
        check = Command([python, "-c", "import sys; assert sys.version_info >= (3, 11)"])
        try:
            options = {"user": user, "group": "nogroup", "extra_groups": []}
            subprocess.run([*map(str, check.argv)], check=True, capture_output=True, **options)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    pytest.skip(f"{user} can run no Python here")


def _outer_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; RFC 5737's documentation address
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])
