"""Walk through a log from its first entry to its last, and hold everything against what was signed.

This package needs nothing of the server: entries and checkpoints are handed to it, from a bundle or from a database.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from core.transparency.merkle import EMPTY, Growth, leaf_hash
from core.transparency.notes import BadNote, Checkpoint, Key, Note
from core.transparency.tiles import HEIGHT
from records.audit.verifier.findings import Kind, Report
from records.audit.verifier.pruning import covered

Nodes = Mapping[tuple[int, int], bytes]
_IDS: Final = ("id", "actor", "patient", "boot")
_WORDS: Final = (
    "action", "outcome", "purpose", "resource_type", "break_glass", "request_id", "seq",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of the log: the hash that was sealed, the event's bytes, and the columns that others derived from them."""

    index: int
    event_id: str
    leaf: bytes
    body: bytes | None
    columns: Mapping[str, Any] | None = None


class Examination:
    """The walk. Hand over checkpoints and tree nodes first, then the entries in order, then `end()`."""

    def __init__(self, key: Key, nodes: Nodes | None = None) -> None:
        self._key = key
        self._nodes = nodes
        self._pruned_below = ""
        self._missing: list[tuple[int, str]] = []
        self._tree = Growth()
        self._heads: dict[int, list[tuple[bytes, str]]] = {}
        self._agreed = 0
        self._handed_over: dict[int, int] = {}
        self._by_former: list[tuple[int, int, str]] = []
        self._broken = False
        self._ids = set[str]()
        self.report = Report()

    def signed(self, notes: Iterable[str], source: str, witness: Key | None = None) -> None:
        """Take checkpoints that the log must pass through: signed by its key and, where one is named, by a witness."""
        for note in notes:
            self.report.checkpoints += 1
            try:
                parsed = Note.parse(note)
                head = Checkpoint.parse(parsed.text)
            except BadNote:
                self.report.add(Kind.SIGNATURE, None, source)
                continue
            keys = (self._key, witness) if witness else (self._key,)
            if head.origin != self._key.name or not all(map(parsed.signed_by, keys)):
                self.report.add(Kind.SIGNATURE, head.size, source)
                continue
            self._by_whom(parsed.generations(self._key), head.size, source)
            if (head.root, source) not in self._heads.setdefault(head.size, []):
                self._heads[head.size].append((head.root, source))

    def _by_whom(self, generations: list[int], size: int, source: str) -> None:
        """Remember where a key handed over to the next, which both sign, and what a former one signed alone."""
        newest = generations[0]
        for former in generations[1:]:
            self._handed_over[former] = min(size, self._handed_over.get(former, size))
        if newest:
            self._by_former.append((newest, size, source))

    def entry(self, entry: Entry) -> None:
        """Examine the next entry."""
        index = self._tree.size
        if entry.index != index and not self._broken:
            self._broken = True  # without its leaves in order, no root can be computed any more
            self.report.add(Kind.LEAF if entry.index > index else Kind.DOUBLED, index)
        if entry.event_id in self._ids:
            self.report.add(Kind.DOUBLED, entry.index, entry.event_id)
        self._ids.add(entry.event_id)
        self._content(entry)
        if not self._broken:
            self._grow(entry.leaf)

    def end(self) -> Report:
        """Return what was found, now that there are no more entries."""
        size = self.report.size = self._tree.size
        self._account_for_missing()
        for generation, signed, source in self._by_former:
            if signed > self._handed_over.get(generation, signed):
                self.report.add(Kind.RETIRED, signed, source)
        self.meet(0, EMPTY)
        if not self._broken:
            for longer in sorted(s for s in self._heads if s > size):
                self.report.add(Kind.SHORTER, size, self._heads[longer][0][1])
            newest = max(self._heads, default=0)
            if newest < size:
                self.report.add(Kind.UNSIGNED, newest)
        if not self._heads and not size and not self.report.findings:
            self.report.add(Kind.NOTHING)
        return self.report

    def _content(self, entry: Entry) -> None:
        if entry.body is None:
            self._missing.append((entry.index, entry.event_id))
        elif leaf_hash(entry.body) != entry.leaf:
            self.report.add(Kind.BODY, entry.index, entry.event_id)
        else:
            if b'"action":"prune"' in entry.body:
                self._pruned_below = max(self._pruned_below, covered(json.loads(entry.body)))
            if entry.columns is None and not names(entry.body, entry.event_id):
                self.report.add(Kind.COLUMN, entry.index, f"id of {entry.event_id}")
            for name in misfits(entry.body, entry.columns or {}):
                self.report.add(Kind.COLUMN, entry.index, f"{name} of {entry.event_id}")

    def _account_for_missing(self) -> None:
        """A body may be missing if an event that is in the log itself says that it was pruned, in time."""
        for index, event_id in self._missing:
            if event_id < self._pruned_below:
                self.report.pruned += 1
            else:
                self.report.add(Kind.EVENT, index, event_id)

    def _grow(self, leaf: bytes) -> None:
        for (height, index), root in self._tree.add(leaf):
            if height and height % HEIGHT == 0 and self._nodes is not None:
                self._stored(height // HEIGHT, index, root)
        if self._tree.size in self._heads:
            self.meet(self._tree.size, self._tree.root())

    def _stored(self, level: int, index: int, root: bytes) -> None:
        assert self._nodes is not None
        if self._nodes.get((level, index)) != root:
            self.report.add(Kind.TILE, index << level * HEIGHT, f"level {level}")

    def meet(self, size: int, root: bytes) -> set[str]:
        """Compare the root with those signed at this size, and return by whom. The first bad leaf came after the last that agreed."""
        signed = self._heads.get(size, ())
        wrong = [source for other, source in signed if other != root]
        for source in wrong:
            self.report.add(Kind.ROOT, self._agreed, source)
        if not wrong:
            self._agreed = size
        return {source for _, source in signed}


def names(body: bytes, event_id: str) -> bool:
    """Tell whether an event's bytes say that this is its id."""
    return bool(json.loads(body)["id"] == event_id)


def misfits(body: bytes, columns: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns that do not say what the event's bytes say."""
    if not columns:
        return []
    event = json.loads(body)
    expected: dict[str, Any] = {name: event.get(name) for name in _WORDS}
    expected |= {name: UUID(event[name]) if event.get(name) else None for name in _IDS}
    expected["resource_ids"] = [UUID(each) for each in event["resource_ids"]]
    expected["occurred_at"] = datetime.fromisoformat(event["occurred_at"]).astimezone(UTC)
    return [n for n, value in columns.items() if n in expected and value != expected[n]]
