"""How soon what was answered can be asked of the ledger, at a pace that is held; and what memory API and worker have had."""

import asyncio
from datetime import datetime
from typing import Any, Final

from api.bench import cases
from api.bench.place import Place
from api.bench.rounds import Bench
from api.bench.trail import drained, value
from api.soak.memory import MOST, heaviest
from core.clock import now
from core.embedded.processes import ProcessError
from core.pool import alone

SECONDS: Final = 10
CONNECTIONS: Final = 32
PAUSE: Final = 60
"""Milliseconds between two reads of a connection: 500 a second of all of them."""

# From the decision, which is before the answer, to the commit: more than what is promised, and never less.
_TOOK: Final = """
SELECT count(*) AS events, percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY ms) AS ms
FROM (SELECT 1000 * extract(epoch FROM pg_xact_commit_timestamp(xmin) - occurred_at)::float AS ms
      FROM audit.event WHERE action = 'read' AND outcome = 'allow' AND occurred_at > $1) AS took
"""


def measure_arrival(bench: Bench) -> dict[str, Any] | None:
    """Read at an even pace while relay and worker run; return milliseconds from each decision to the ledger's commit.

    None where the server does not keep the times of commits: ours does.
    """
    here = bench.place
    if asyncio.run(value(here, "SHOW track_commit_timestamp")) == "off":
        return None
    drained(here)
    since = now()
    driven = bench.drive(
        cases.reads(here.filled)[-1], connections=CONNECTIONS, seconds=SECONDS, pause=PAUSE
    )
    drained(here)
    took = asyncio.run(_took(here, since))
    if took["events"] < driven.requests:
        raise ProcessError(
            f"{driven.requests} reads were answered, and {took['events']} are in the ledger"
        )
    p50, p99 = (round(ms, 1) for ms in took["ms"])
    pace = driven.requests / driven.seconds
    return {
        "reads_per_second": pace,
        "events": took["events"],
        "p50_ms": p50,
        "p99_ms": p99,
    }


def memory(here: Place) -> dict[str, float]:
    """Return the megabytes that the largest process of each has had at most."""
    children = here.family.children
    return {name: heaviest(children[name].process.pid, MOST) for name in ("api", "worker")}


async def _took(here: Place, since: datetime) -> Any:
    async with alone(here.settings.postgres_url) as connection:
        return await connection.fetchrow(_TOOK, since)
