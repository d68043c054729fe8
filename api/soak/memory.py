"""How much memory the API and the worker have, and whether it grows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from threading import Event, Thread
from time import monotonic
from typing import Final

from api.soak.ground import Ground
from api.soak.kills import CALM, MEASURED

LIMITS: Final = {"api": 180.0, "worker": 150.0}
"""Megabytes a process may have."""
STEEPEST: Final = 2.0
"""Megabytes a minute that memory may grow by, when it is calm."""
_EVERY: Final = 1.0
_NOW: Final = "VmRSS:"
MOST: Final = "VmHWM:"
"""What a process has had at most (proc(5))."""


@dataclass(slots=True)
class Curve:
    """Megabytes of the largest process of a part, by seconds since the begin."""

    at: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    @property
    def peak(self) -> float:
        """The most it ever had."""
        return max(self.megabytes, default=0.0)

    def slope(self, since: float) -> float:
        """Return the growth in megabytes a minute from a time on."""
        points = [(a, m) for a, m in zip(self.at, self.megabytes, strict=True) if a >= since]
        if len(points) < 2:  # noqa: PLR2004
            return 0.0
        return linear_regression(*zip(*points, strict=True)).slope * 60


class Scales(Thread):
    """Weighs once a second, in a thread of its own, until told to stop."""

    def __init__(self, ground: Ground, over: Event) -> None:
        super().__init__(name="scales", daemon=True)
        self.curves = {part: Curve() for part in MEASURED}
        self._ground = ground
        self._over = over

    def run(self) -> None:
        """Weigh."""
        began = monotonic()
        while not self._over.wait(_EVERY):
            for part, curve in self.curves.items():
                child = self._ground.stack.family.children.get(part)
                weight = heaviest(child.process.pid) if child else 0.0
                if weight:
                    curve.at.append(monotonic() - began)
                    curve.megabytes.append(weight)


def calm(seconds: float) -> float | None:
    """Return from which second on memory must be flat: the second half of the calm third; None in a short run."""
    return seconds * 5 / 6 if seconds >= CALM else None


def heaviest(root: int, figure: str = _NOW) -> float:
    """Return the megabytes of the largest among a process and its children."""
    return max((_megabytes(pid, figure) for pid in [root, *_children(root)]), default=0.0)


def _children(pid: int) -> Sequence[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _megabytes(pid: int, figure: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(x.split()[1]) / 1024 for x in lines if x.startswith(figure)), 0.0)
