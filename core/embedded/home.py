"""What a home folder remembers between runs: who runs, the ports and the passwords of its servers."""

import fcntl
import functools
import hashlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.embedded.processes import ProcessError

# Below the range from which the kernel takes ports for outgoing connections.
PORTS = range(20_000, 30_000)
_choosing = threading.Lock()


@contextmanager
def lock(home: Path) -> Iterator[None]:
    """Hold the home for this process; ProcessError while another one does. The kernel lets go even after kill -9."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProcessError(
                f"a stack already runs in {home}: stop it, or set CONFIDE_HOME to another folder"
            ) from None
        yield


@functools.cache
def port(home: Path, name: str) -> int:
    """Return the port of `name`: the last run's unless someone else has it now; settled once a process."""
    with _choosing:
        kept: dict[str, int] = {}
        file = home / "ports.json"
        if file.exists():
            kept = json.loads(file.read_text())
        if name not in kept or not is_free(kept[name]):
            kept[name] = _choose(taken=set(kept.values()))
            write(file, json.dumps(kept, indent=2))
        return kept[name]


def is_free(number: int) -> bool:
    """Tell whether 127.0.0.1:number can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
        return True


def secret(file: Path) -> str:
    """Return the password kept in `file` (mode 0600), made at the first call."""
    if not file.exists():
        write(file, secrets.token_hex(16))
    return file.read_text()


def write(file: Path, text: str) -> None:
    """Put `text` into `file` (mode 0600) whole or not at all."""
    partial = file.with_name(f"{file.name}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        output.write(text)
    partial.replace(file)


def fingerprint(*packages: Path) -> str:
    """Return a digest of the Python code of these folders."""
    digest = hashlib.sha256()
    for package in packages:
        for file in sorted(package.rglob("*.py")):
            digest.update(f"{file.relative_to(package.parent)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def await_vacant(folder: Path, programs: set[str], *, seconds: float = 20) -> None:
    """Wait for servers of a killed stack to leave `folder`; ProcessError, naming them, when they stay."""
    deadline = time.monotonic() + seconds
    while pids := _occupants(folder, programs):
        if time.monotonic() > deadline:
            raise ProcessError(
                f"a server already uses {folder} (process {min(pids)}): "
                "stop it, or set CONFIDE_HOME to another folder"
            )
        time.sleep(0.1)


def _occupants(folder: Path, programs: set[str]) -> list[int]:
    """Find the processes of these programs that work in `folder`, by /proc; none where there is no /proc."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program = (process / "exe").readlink().name.removesuffix(" (deleted)")
            if program in programs and (process / "cwd").samefile(folder):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def _choose(taken: set[int]) -> int:
    while True:
        number = secrets.choice(PORTS)
        if number not in taken and is_free(number):
            return number
