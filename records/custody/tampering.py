"""What a comparison of rows with the log can find, and what it comes to."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from records.audit.verifier.findings import Verdict

MOST: Final = 100
"""Findings told at most; all are counted."""


class Kind(StrEnum):
    """What is wrong with a row, or, at the end, why nothing can be said of it."""

    OLDER = "row-older"
    ALTERED = "row-altered"
    MISSING = "row-missing"
    RETURNED = "row-returned"
    UNKNOWN = "row-unknown"
    FORKED = "row-forked"
    EVENT = "event-altered"
    PRUNED = "events-pruned"


_SAID: Final = {
    Kind.OLDER: "was put back to an older state",
    Kind.ALTERED: "is as no write of ours left it",
    Kind.MISSING: "is gone, and nobody deleted it",
    Kind.RETURNED: "was deleted, and is back",
    Kind.UNKNOWN: "is there, and nobody wrote it",
    Kind.FORKED: "was put back once and written since",
    Kind.EVENT: "is told of by an event that is not what was sealed",
    Kind.PRUNED: "was last written before the oldest event that is kept",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One row, what is wrong with it, the event it agrees with if any, and the one that contradicts it."""

    kind: Kind
    table: str
    row_id: str
    agrees: dict[str, Any] | None
    contradicts: dict[str, Any] | None

    def sentence(self) -> str:
        """Return the finding for people."""
        told = f"{self.table} {self.row_id} {_SAID[self.kind]}"
        if self.agrees and self.agrees != self.contradicts:
            told += f", that of {self.agrees['at']} (event {self.agrees['event_id']})"
        if self.contradicts:
            told += (
                f"; event {self.contradicts['event_id']} of {self.contradicts['at']} says otherwise"
            )
        return told


@dataclass(slots=True)
class Comparison:
    """How many rows were compared, and what was found; nothing, where only Confide wrote."""

    pruned_before: datetime | None = None
    rows: int = 0
    counts: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: Kind, place: tuple[str, str], agrees: Any, contradicts: Any) -> None:
        """Note a finding."""
        table, row_id = place
        self.counts[table, kind] += 1
        if len(self.findings) < MOST:
            finding = Finding(kind, table, row_id, _named(agrees), _named(contradicts))
            self.findings.append(finding)

    def unheard(self, place: tuple[str, str], created: datetime | None) -> None:
        """Note a row that no event tells of: a stranger's, unless its events may have been pruned."""
        born = created or _born(place[1])
        old = self.pruned_before is not None and born is not None and born < self.pruned_before
        self.add(Kind.PRUNED if old else Kind.UNKNOWN, place, None, None)

    @property
    def verdict(self) -> Verdict:
        kinds = {kind for _, kind in self.counts}
        if kinds - {Kind.PRUNED}:
            return Verdict.TAMPERED
        return Verdict.INCOMPLETE if kinds else Verdict.GOOD

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            "result": self.verdict.name.lower(),
            "exit_code": int(self.verdict),
            "rows": self.rows,
            "count": self.counts.total(),
            "counts": [
                {"table": table, "kind": kind, "rows": n}
                for (table, kind), n in sorted(self.counts.items())
            ],
            "findings": [
                {
                    "kind": f.kind,
                    "table": f.table,
                    "row_id": f.row_id,
                    "agrees_with": f.agrees,
                    "contradicted_by": f.contradicts,
                }
                for f in self.findings
            ],
        }

    def sentences(self) -> list[str]:
        """Return the report for people, a line a finding."""
        if not self.counts:
            return [f"good: {self.rows} rows; each is what its last event says"]
        told = ", ".join(f"{n} {table} {kind}" for (table, kind), n in sorted(self.counts.items()))
        first = f"{self.verdict.name.lower()}: of {self.rows} rows: {told}"
        return [first, *(f.sentence() for f in self.findings)]


def _named(event: Any) -> dict[str, Any] | None:
    if event is None:
        return None
    return {
        "event_id": str(event["event_id"]),
        "at": event["at"].astimezone(UTC).isoformat(),
        "leaf_index": event["leaf_index"],
        "edition": event["edition"],
    }


def _born(row_id: str) -> datetime | None:
    """Return when a UUIDv7 was made; None for other ids."""
    try:
        milliseconds = UUID(row_id).int >> 80
    except ValueError:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
