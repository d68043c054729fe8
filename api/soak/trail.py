"""Whether the ledger has what was answered: each event once, no number missing, all of it sealed."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

from api.soak.caller import Answer
from core.embedded.processes import ProcessError
from core.pool import alone

SILENT: Final = frozenset({"free slots", "list doctors"})
"""What is asked here that shows nobody's data, and is no event."""
_WAITING: Final = """
SELECT (SELECT count(*) FROM audit.outbox) + (SELECT count(*) FROM audit.unsealed) AS waiting
"""
_KNOWN: Final = """
SELECT request_id, count(*) FILTER (WHERE action = 'read' AND outcome = 'allow' AND resource_type = 'record') AS reads
FROM audit.event WHERE request_id = ANY($1) GROUP BY request_id
"""
_DOUBLED: Final = """
SELECT count(*) FROM (
  SELECT FROM audit.event WHERE boot IS NOT NULL GROUP BY boot, seq HAVING count(*) > 1) AS doubled
"""
_LOG: Final = """
SELECT (SELECT count(*) FROM audit.event) AS events, count(*) AS leaves,
  coalesce(max(leaf_index) + 1, 0) AS size FROM audit.leaf
"""
_REFUSED: Final = "SELECT count(*) FROM audit.quarantine"
_GAPS: Final = """
WITH stated AS (
  SELECT boot, seq FROM audit.event WHERE seq IS NOT NULL
  UNION SELECT boot, void::bigint FROM audit.event, regexp_split_to_table(
    convert_from(body, 'UTF8')::jsonb ->> 'reason', ' ') AS void WHERE action = 'void'),
steps AS (SELECT boot, seq, lag(seq, 1, -1) OVER (PARTITION BY boot ORDER BY seq) AS before FROM stated)
SELECT boot, before + 1 AS first, seq - 1 AS last,
  (SELECT occurred_at FROM audit.event WHERE event.boot = steps.boot AND event.seq >= steps.seq
   ORDER BY event.seq LIMIT 1) AS at
FROM steps WHERE seq > before + 1
"""


async def drained(url: str, patience: float) -> float:
    """Return how many seconds it took until everything was in the ledger and had its place in the log."""
    began = monotonic()
    async with alone(url) as connection:
        while left := await connection.fetchval(_WAITING):
            if monotonic() - began > patience:
                raise ProcessError(f"{left} events are not in the log after {patience:g} s")
            await asyncio.sleep(0.2)
    return monotonic() - began


async def examined(url: str, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return what is wrong with the ledger, by name; 0 or nothing is good."""
    good = [a for a in answers if a.good and a.act not in SILENT]
    async with alone(url) as connection:
        rows = await connection.fetch(_KNOWN, [answer.request_id for answer in good])
        reads = {row["request_id"]: row["reads"] for row in rows}
        log = await connection.fetchrow(_LOG)
        return {
            "answers": len(good),
            "missing": [a.act for a in good if a.request_id not in reads],
            "doubled": await connection.fetchval(_DOUBLED)
            + sum(reads.get(a.request_id, 1) != 1 for a in good if a.act == "read record"),
            "events": log["events"],
            "unlike": abs(log["events"] - log["leaves"]) + abs(log["size"] - log["leaves"]),
            "refused": await connection.fetchval(_REFUSED),
            "gaps": [dict(row) for row in await connection.fetch(_GAPS)],
        }
