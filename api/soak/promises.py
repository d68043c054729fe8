"""What a client was told, to be held against what is there in the end."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from core.clock import now

WORD: Final = "Zinnoberrot"
"""Stands in all that is written here, and in no log."""


@dataclass(slots=True)
class Visit:
    """A visit somebody asked for. `unsure`: the last answer about it never came."""

    word: str
    patient_id: str
    doctor_id: str
    start: str
    contested: bool = False
    id: str = ""
    status: str = ""
    version: int = 0
    unsure: bool = True

    def take(self, shown: dict[str, Any]) -> None:
        """Take over what the API says of it."""
        self.id, self.status, self.version = shown["id"], shown["status"], shown["version"]
        self.start, self.unsure = shown["start"], False


@dataclass(slots=True)
class Note:
    """A record somebody asked for."""

    title: str
    patient_id: str
    id: str = ""
    unsure: bool = True

    @property
    def text(self) -> str:
        """What it says."""
        return f"{self.title} " * 20


@dataclass(slots=True)
class Promised:
    """All that one client was promised, and what was wrong at once."""

    visits: list[Visit] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    streets: dict[str, set[str]] = field(default_factory=dict)
    """Where a patient may live: one street, or two where an answer was lost."""
    wrong: list[str] = field(default_factory=list)


def slot(days: int, number: int) -> str:
    """Return the start of the n-th half hour from the midnight so many days ahead."""
    midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight + timedelta(days=days, minutes=30 * number)).isoformat()
