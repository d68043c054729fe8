"""CPU time of a server: user and system seconds of a process and of all that came from it, dead children too."""

import os
from pathlib import Path

_PROC = Path("/proc")
_PARENT = 1
_TIMES = slice(11, 15)
"""utime, stime, cutime and cstime among the fields after the program's name (proc(5))."""


def seconds(root: int) -> float | None:
    """Return what the process tree under `root` has used so far; None where there is no /proc."""
    fields = {pid: found for pid in _processes() if (found := _fields(pid))}
    if root not in fields:
        return None
    members = {root}
    while grown := {p for p, f in fields.items() if int(f[_PARENT]) in members} - members:
        members |= grown
    ticks = sum(int(tick) for pid in members for tick in fields[pid][_TIMES])
    return ticks / os.sysconf("SC_CLK_TCK")


def _processes() -> list[int]:
    return [int(folder.name) for folder in _PROC.glob("[0-9]*")]


def _fields(pid: int) -> list[str]:
    """Return a process's fields after its name, which may hold blanks and parentheses; none if it is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
