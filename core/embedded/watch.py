"""Watching over a family: what may fall is started again, what must not fall ends the stack."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from core.embedded.processes import Child, Family, ProcessError

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
STEADY = 60.0


@dataclass(slots=True)
class Revival:
    """When a fallen child is started again. The pause doubles until the child stays up for a minute."""

    start: Callable[[], object]
    pause: float = FIRST_PAUSE
    due: float | None = None

    def fall(self, child: Child) -> float:
        """Set the next start and return the seconds until then."""
        now = time.monotonic()
        self.pause = FIRST_PAUSE if now - child.since > STEADY else min(self.pause, LONGEST_PAUSE)
        self.due, pause = now + self.pause, self.pause
        self.pause *= 2
        return pause


def watch(
    family: Family, revivable: Mapping[str, Callable[[], object]], report: Callable[[str], None]
) -> NoReturn:
    """Watch until a child falls that is not `revivable` (ProcessError), or an exception such as Ctrl-C comes."""
    revivals = {name: Revival(start) for name, start in revivable.items()}
    while True:
        for name, child in list(family.children.items()):
            revival = revivals.get(name)
            if child.exit_code is not None:
                _mourn(child, revival, report)
            if revival and revival.due is not None and time.monotonic() >= revival.due:
                revival.due = None
                revival.start()
        time.sleep(0.2)


def _mourn(child: Child, revival: Revival | None, report: Callable[[str], None]) -> None:
    """Say once that a child has fallen, and plan its return."""
    what = f"{child.name} ended with code {child.exit_code}, see {child.log}"
    if revival is None:
        raise ProcessError(what)
    if revival.due is None:
        report(f"{what}; starting it again in {revival.fall(child):g} s")
