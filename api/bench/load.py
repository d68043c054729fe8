"""The load: `wrk` sends prepared requests over connections that stay open, and says how it went."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.embedded import debian
from core.embedded.processes import ProcessError, output

SCRIPT = Path(__file__).with_name("requests.lua")
GRACE = 30.0


@dataclass(frozen=True, slots=True)
class Driven:
    """What wrk saw in one round. `refused` answers had a status above 399, `broken` ones never came."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int
    statuses: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Wrk:
    """A `wrk` that can be run here."""

    program: Path
    environment: Mapping[str, str]

    def drive(
        self,
        url: str,
        lines: Path,
        *,
        connections: int,
        seconds: int,
        token: str | None = None,
        statuses: bool = False,
        pause: int = 0,
    ) -> Driven:
        """Send the file's requests in turn for some seconds, each connection waiting for its answer, and so many milliseconds more."""
        headers = ["Content-Type: application/json"]
        if token:
            headers.append(f"Authorization: Bearer {token}")
        argv: list[str | Path] = [
            "env",
            *(f"{name}={value}" for name, value in self.environment.items()),
            self.program,
            *("-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s"),
            *(part for header in headers for part in ("-H", header)),
            *("-s", SCRIPT, url, "--", lines, str(pause)),
            *(["statuses"] if statuses else []),
        ]
        printed = output(argv, seconds=seconds + GRACE)
        return Driven(**json.loads(printed.strip().splitlines()[-1]))


def find_wrk(home: Path) -> Wrk:
    """Return the installed wrk, else fetch one into `<home>/wrk`; ProcessError where neither can be done."""
    installed = shutil.which("wrk")
    if installed:
        return Wrk(Path(installed), {})
    try:
        root = debian.fetch(["wrk"], home / "wrk")
    except ProcessError as failure:
        raise ProcessError(
            f"the load needs wrk: install it (Debian: wrk, Homebrew: wrk); fetching it failed: {failure}"
        ) from None
    libraries = debian.environment(root)["LD_LIBRARY_PATH"]
    return Wrk(root / "usr/bin/wrk", {"LD_LIBRARY_PATH": libraries})


def write_lines(file: Path, lines: Iterable[str]) -> Path:
    """Put requests (`METHOD PATH [BODY]`) into a file and return it."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.writelines(f"{line}\n" for line in lines)
    return file
