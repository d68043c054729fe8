"""The numbers of a producer: without a gap, so that an event that vanishes on its way is missed.

A process is a producer; `boot` names one run of it, and `seq` counts its events from 0. A number whose transaction rolled
back, or whose write failed, is declared void in an event of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from core.database import Database
from policies.vocabulary import ResourceType
from records.audit.event import Act, Event, Failure, Origin, Stamp

_MOST: Final = 200
"""Void numbers that one event declares at most."""

_FIND: Final = """
WITH recent AS (SELECT audit.lowest_id(now() - interval '1 day') AS id),
stated AS (
  SELECT boot, seq FROM audit.event WHERE id > (SELECT id FROM recent) AND seq IS NOT NULL
  UNION SELECT boot, seq FROM audit.waiting_number WHERE seq IS NOT NULL
  UNION SELECT boot, void::bigint FROM audit.event, regexp_split_to_table(
    convert_from(body, 'UTF8')::jsonb ->> 'reason', ' ') AS void
  WHERE id > (SELECT id FROM recent) AND action = 'void'),
steps AS (
  SELECT boot, seq, lag(seq, 1, CASE WHEN boot > (SELECT id FROM recent) THEN -1 ELSE seq - 1 END)
    OVER (PARTITION BY boot ORDER BY seq) AS before FROM stated),
gaps AS (SELECT boot, before + 1 AS first, seq - 1 AS last FROM steps WHERE seq > before + 1),
closed AS (
  UPDATE audit.gap SET closed_at = now() WHERE closed_at IS NULL
  AND NOT EXISTS (SELECT FROM gaps WHERE gaps.boot = gap.boot AND gaps.first <= gap.last AND gaps.last >= gap.first)
  AND boot > (SELECT id FROM recent))
INSERT INTO audit.gap (boot, first, last, found_at)
SELECT gaps.boot, gaps.first, gaps.last, now() FROM gaps
WHERE EXISTS (SELECT FROM audit.event WHERE event.boot = gaps.boot AND event.seq > gaps.last
              AND occurred_at < now() - interval '60 seconds')
ON CONFLICT (boot, first) DO UPDATE SET last = excluded.last, closed_at = NULL
"""


@dataclass(slots=True)
class Numbers:
    """The numbers of this process's run."""

    boot: UUID
    void: list[int] = field(default_factory=list)
    _next: int = 0

    def stamped(self, events: Sequence[Event]) -> list[tuple[UUID, int, bytes]]:
        """Return id, number and body of each event; a body that cannot be made uses up no number."""
        numbered = list(enumerate(events, self._next))
        made = [(e.id, n, e.body(Stamp(self.boot, n))) for n, e in numbered]
        self._next += len(made)
        return made

    def declare(self) -> Iterator[Event]:
        """Yield the events that declare void what is to be declared."""
        while self.void:
            some, self.void = self.void[:_MOST], self.void[_MOST:]
            yield Event(
                actor=None,
                action=Act.VOID,
                outcome=Failure.ERROR,
                reason=" ".join(map(str, some)),
                resource_type=ResourceType.AUDIT_EVENT,
                resource_ids=(),
                origin=Origin("trail", ""),
            )


async def reconcile(database: Database) -> None:
    """Note numbers that have been missing for a minute, and close the gaps that were filled."""
    async with database.bare() as connection:
        await connection.execute(_FIND)
