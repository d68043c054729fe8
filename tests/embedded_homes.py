"""Homes with servers in them, looked at from outside: which processes work there, and under whom."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.embedded.processes import Command

PARENT = """
import signal, sys, time
from pathlib import Path
from core.embedded import postgres, rabbitmq
from core.embedded.home import lock
from core.embedded.processes import Family

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by all that a background job starts
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


def processes_of(home: Path) -> list[int]:
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


def program(pid: int) -> str:
    return Path(f"/proc/{pid}/exe").readlink().name


def await_end_of(home: Path) -> None:
    deadline = time.monotonic() + 20
    while processes_of(home):
        assert time.monotonic() < deadline, f"still there: {processes_of(home)}"
        time.sleep(0.1)


def python_for(user: str) -> str:
    for python in (sys.executable, "/usr/bin/python3"):
        check = Command([python, "-c", "import sys; assert sys.version_info >= (3, 11)"])
        try:
            options = {"user": user, "group": "nogroup", "extra_groups": []}
            subprocess.run([*map(str, check.argv)], check=True, capture_output=True, **options)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    pytest.skip(f"{user} can run no Python here")


def outer_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; RFC 5737's documentation address
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])
