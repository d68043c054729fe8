"""Debian packages without root: apt with its own state, unpacked into a folder instead of the system."""

import fcntl
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from core.embedded.processes import ProcessError, output


def available() -> bool:
    """Tell whether this is a system whose packages we can fetch."""
    return shutil.which("apt-get") is not None and shutil.which("dpkg-deb") is not None


def fetch(packages: Sequence[str], into: Path) -> Path:
    """Unpack `packages`, and what they need beyond the machine's own, under `into`; return it.

    Done once: a folder that holds them already is returned at once. ProcessError without apt or network.
    """
    if not available():
        raise ProcessError(
            "apt-get is not here: only Debian and its kin can fetch packages without root"
        )
    into.parent.mkdir(parents=True, exist_ok=True)
    with into.with_name(f"{into.name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # a test run and `make run` may want the same at once
        stamp = into / ".packages"
        if not stamp.exists() or stamp.read_text().split() != sorted(packages):
            _fill(into, packages)
    return into


def _fill(into: Path, packages: Sequence[str]) -> None:
    """Make the folder beside its place and move it there when whole."""
    work = into.with_name(f"{into.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    try:
        _unpack(_download(packages, work), work / "root")
        (work / "root" / ".packages").write_text(" ".join(sorted(packages)))
        shutil.rmtree(into, ignore_errors=True)
        (work / "root").replace(into)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def environment(root: Path) -> dict[str, str]:
    """Return PATH and LD_LIBRARY_PATH with which programs under `root` find each other and their libraries."""
    programs = [root / "usr/bin", root / "usr/sbin", root / "bin", root / "usr/lib/erlang/bin"]
    libraries = [*root.glob("usr/lib/*-linux-*"), *root.glob("lib/*-linux-*"), root / "usr/lib"]
    return {
        "PATH": _joined(programs, os.environ.get("PATH", os.defpath)),
        "LD_LIBRARY_PATH": _joined(libraries, os.environ.get("LD_LIBRARY_PATH", "")),
    }


def _joined(folders: Sequence[Path], tail: str) -> str:
    return os.pathsep.join(
        [*(str(folder) for folder in folders if folder.is_dir()), *filter(None, [tail])]
    )


def _download(packages: Sequence[str], work: Path) -> list[Path]:
    """Fetch the lists and the packages with a state of our own, since the system's may be empty or stale."""
    (work / "state/lists/partial").mkdir(parents=True)
    (work / "cache/archives/partial").mkdir(parents=True)
    apt = _apt(work)
    output([*apt, "-qq", "update"], seconds=120)
    plan = output([*apt, "-s", "install", "--no-install-recommends", *packages], seconds=60)
    missing = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    output([*apt, "-qq", "download", *(missing or packages)], seconds=600, cwd=work)
    return sorted(work.glob("*.deb"))


def _unpack(archives: Sequence[Path], root: Path) -> None:
    root.mkdir()
    for archive in archives:
        output(["dpkg-deb", "-x", archive, root], seconds=120)


def _apt(work: Path) -> list[str]:
    settings = {
        "Dir::State": work / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": work / "cache",
        "Debug::NoLocking": 1,
        "APT::Sandbox::User": "",
        "Acquire::Retries": 1,
        "Acquire::http::Timeout": 15,
        "Acquire::https::Timeout": 15,
    }
    return [
        "apt-get",
        *(part for key, value in settings.items() for part in ("-o", f"{key}={value}")),
    ]
