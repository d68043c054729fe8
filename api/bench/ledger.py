"""`confide bench --events N`: how soon the first page of any filters comes from a ledger of N events over two years."""

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from api.bench.place import bare_place
from api.bench.report import machine
from core.clock import now
from core.database import Database
from core.embedded.home import write
from core.pool import alone
from core.settings import Settings
from records.audit.queries import Filters, find_events
from records.clinic import ROLE

CHUNK: Final = 50_000
ASKED: Final = 400
"""Questions: half of them with values of one event, half with values of several, which mostly finds nothing."""
GOAL: Final = 300.0
"""Milliseconds: 95 of 100 first pages come sooner."""

_MONTHS: Final = "SELECT audit.add_partitions(now() - interval '24 months', now())"
# 200 accounts, of whom a few do most; 20,000 patients; refusals, errors and emergencies as rare as they are.
_FILL: Final = """
INSERT INTO audit.event (id, occurred_at, recorded_at, actor, action, outcome, purpose, patient, resource_type,
                         resource_ids, break_glass, body, request_id)
SELECT id, at, at, actor, action, outcome, purpose, patient, kind, ARRAY[thing], glass, convert_to(
  jsonb_build_object('id', id, 'occurred_at', at, 'actor', actor, 'action', action, 'outcome', outcome, 'purpose',
    purpose, 'patient', patient, 'resource_type', kind, 'resource_ids', ARRAY[thing], 'break_glass', glass,
    'request_id', request, 'roles', ARRAY['doctor'], 'reason', null, 'rule', 'record-read-doctor', 'policy_version', 1,
    'endpoint', 'GET /v1/records/{record_id}', 'network', '203.0.113.0/24', 'client', 'confide-web', 'session', thing,
    'v', 1)::text, 'UTF8'), request
FROM (
  SELECT *, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5('e' || n), 1, 3)
             || '8' || substr(md5('e' || n), 4, 15))::uuid AS id
  FROM (
    SELECT n, now() - interval '24 months' * (1 - n / $3::float) AS at,
      md5('a' || (200 * random() ^ 2)::int)::uuid AS actor, md5('p' || (20000 * random())::int)::uuid AS patient,
      (ARRAY['read', 'read', 'read', 'read', 'read', 'read', 'search', 'search', 'update', 'create'])[1 + (random() * 9.49)::int]
        AS action,
      CASE WHEN random() < .03 THEN 'deny' WHEN random() < .001 THEN 'error' ELSE 'allow' END AS outcome,
      CASE WHEN random() < .9 THEN 'TREAT' WHEN random() < .8 THEN 'HOPERAT' ELSE 'HCOMPL' END AS purpose,
      (ARRAY['record', 'record', 'record', 'patient', 'appointment'])[1 + (random() * 4.49)::int] AS kind,
      md5('t' || (200000 * random())::int)::uuid AS thing, random() < .001 AS glass, md5('r' || n) AS request
    FROM generate_series($1::int, $2::int) AS n) AS drawn) AS made
"""
_SOME: Final = """
SELECT actor, patient, action, outcome, resource_type, resource_ids[1] AS resource_id, purpose, break_glass, request_id,
  occurred_at FROM audit.event WHERE random() < $1 LIMIT 500
"""


def run(chosen: Settings, events: int, *, as_json: bool) -> int:
    """Fill a ledger of its own, ask, print what it took and write `bench-ledger.json`; return 0 if the goal is met."""
    console = Console(stderr=as_json, highlight=False)
    home = chosen.home / "bench-ledger"
    home.mkdir(parents=True, exist_ok=True)
    with bare_place(home) as settings, console.status("Filling") as status:
        found = asyncio.run(_measure(settings, events, status.update))
    text = json.dumps(found | {"machine": machine(), "date": now().isoformat()}, indent=2)
    write(chosen.home / "bench-ledger.json", text)
    if as_json:
        sys.stdout.write(text + "\n")
    else:
        console.print(_table(found))
    return 0 if found["p95_ms"] <= GOAL else 1


async def _measure(settings: Settings, events: int, say: Callable[[str], None]) -> dict[str, Any]:
    began = time.monotonic()
    rows = await _fill(settings.postgres_url, events, say)
    filled = time.monotonic() - began
    say("Asking")
    async with Database(settings.postgres_url, role=ROLE, size=1) as database:
        asked = [await _ask(database, filters) for filters in _questions(rows)]
    times = sorted(ms for _, _, ms in asked)
    slowest = sorted(asked, key=lambda each: -each[2])[:10]
    return {
        "events": events,
        "fill_seconds": filled,
        "questions": len(asked),
        "p50_ms": times[len(times) // 2],
        "p95_ms": times[int(len(times) * 0.95)],
        "max_ms": times[-1],
        "slowest": [{"filters": names, "found": n, "ms": ms} for names, n, ms in slowest],
    }


async def _fill(url: str, events: int, say: Callable[[str], None]) -> Sequence[Any]:
    """Fill the ledger; return some of its events."""
    async with alone(url) as connection:
        await connection.execute(_MONTHS)
        await connection.execute("ALTER TABLE audit.event DISABLE TRIGGER event_queue_for_seal")
        for first in range(0, events, CHUNK):
            last = min(first + CHUNK, events) - 1
            await connection.execute(_FILL, first, last, events, timeout=600)
            say(f"Filling: {last + 1:,} of {events:,}")
        await connection.execute("VACUUM ANALYZE audit.event", timeout=600)
        found: Sequence[Any] = await connection.fetch(_SOME, 1000 / events)
        return found


def _questions(rows: Sequence[Any]) -> list[Filters]:
    """Return filters in any combination, the same at each run."""
    dice, names = random.Random(6), [f.name for f in fields(Filters)]  # noqa: S311 - no secret
    return [_question(dice, rows, names, one=n % 2 == 0) for n in range(ASKED)]


def _question(
    dice: random.Random, rows: Sequence[Any], names: Sequence[str], *, one: bool
) -> Filters:
    row = dice.choice(rows)
    given = {}
    for name in dice.sample(names, dice.randint(1, 5)):
        source = row if one else dice.choice(rows)
        given[name] = source["occurred_at" if name in {"since", "until"} else name]
    return Filters(**given)


async def _ask(database: Database, filters: Filters) -> tuple[list[str], int, float]:
    """Return which filters were asked for, how many events came, and the milliseconds."""
    began = time.perf_counter()
    events, _ = await find_events(database, filters, limit=20)
    took = (time.perf_counter() - began) * 1000
    return sorted(filters.as_json()), len(events), took


def _table(found: dict[str, Any]) -> Table:
    title = (
        f"{found['events']:,} events, {found['questions']} questions: first page p50 {found['p50_ms']:.1f} ms, "
        f"p95 {found['p95_ms']:.1f} ms, slowest {found['max_ms']:.0f} ms"
    )
    table = Table("filters", "found", "ms", title=title)
    for each in found["slowest"]:
        table.add_row(" + ".join(each["filters"]), str(each["found"]), f"{each['ms']:.0f}")
    return table
