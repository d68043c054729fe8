"""What an examination of the log can find, and what it comes to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final

MOST: Final = 100
"""Findings told at most; all are counted."""


class Verdict(IntEnum):
    """What the examination came to, which is the exit code."""

    GOOD = 0
    TAMPERED = 1
    INCOMPLETE = 2


class Kind(StrEnum):
    """What is wrong. The last seven say that something is not there yet or was not to be seen, or that its producer lost it."""

    BODY = "body-changed"
    COLUMN = "column-changed"
    EVENT = "event-missing"
    LEAF = "leaf-missing"
    DOUBLED = "event-doubled"
    TILE = "tile-changed"
    SIGNATURE = "signature-bad"
    RETIRED = "key-retired"
    ROOT = "root-changed"
    SHORTER = "log-shorter"
    UNSIGNED = "leaf-unsigned"
    UNLOGGED = "event-unlogged"
    FORGED = "event-forged"
    PROOF = "proof-bad"
    NOTHING = "nothing-sealed"
    WAITING = "outbox-waiting"
    UNSEALED = "event-unsealed"
    NUMBER = "number-missing"
    BOOK = "book-unseen"
    UNWITNESSED = "checkpoint-unwitnessed"
    UNKEPT = "seal-unkept"


_INCOMPLETE: Final = {
    Kind.NOTHING, Kind.WAITING, Kind.UNSEALED, Kind.NUMBER, Kind.BOOK, Kind.UNWITNESSED,
    Kind.UNKEPT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: from which place in the log on, and what it is about."""

    kind: Kind
    index: int | None = None
    about: str = ""


@dataclass(slots=True)
class Report:
    """How many events were examined, and what was found; nothing, in a log that nobody touched."""

    size: int = 0
    checkpoints: int = 0
    pruned: int = 0
    count: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: Kind, index: int | None = None, about: str = "") -> None:
        """Note a finding."""
        self.count += 1
        if len(self.findings) < MOST:
            self.findings.append(Finding(kind, index, about))

    def first(self) -> Finding | None:
        """Return the finding that comes first in the log; tiles, and what has no place in it, come last."""
        worst = self._of(incomplete=False) or self.findings
        return min(
            worst, key=lambda f: (f.index is None, f.kind is Kind.TILE, f.index or 0), default=None
        )

    @property
    def verdict(self) -> Verdict:
        if self._of(incomplete=False):
            return Verdict.TAMPERED
        return Verdict.INCOMPLETE if self.findings else Verdict.GOOD

    def _of(self, *, incomplete: bool) -> Sequence[Finding]:
        return [f for f in self.findings if (f.kind in _INCOMPLETE) is incomplete]

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        first = self.first()
        return {
            "result": self.verdict.name.lower(),
            "exit_code": int(self.verdict),
            "size": self.size,
            "checkpoints": self.checkpoints,
            "pruned": self.pruned,
            "first_bad_index": first.index if first else None,
            "kind": first.kind if first else None,
            "about": first.about if first else None,
            "count": self.count,
            "findings": [
                {"kind": f.kind, "index": f.index, "about": f.about} for f in self.findings
            ],
        }

    def sentence(self) -> str:
        """Return the report for people."""
        first = self.first()
        told = f"{self.size} events under {self.checkpoints} signed checkpoints"
        if first is None:
            return f"good: {told}; every one is where and what it was when it was signed"
        place = "" if first.index is None else f" at index {first.index}"
        about = f" ({first.about})" if first.about else ""
        return (
            f"{self.verdict.name.lower()}: {first.kind}{place}{about}; {self.count} found in {told}"
        )
