"""From a publication to the last process that decides by it: real processes, each of which says so in the database."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

from rich.console import Console
from sqlalchemy import bindparam, func, literal, select

from api.bench.place import Place, place
from api.bench.report import published
from core.crypto.keyring import open_provider
from core.database import Database, Query
from core.embedded.processes import ProcessError
from core.settings import Settings, settings
from policies.rules import Rule, defaults
from records.access.models import PolicyProcess
from records.access.versions import enact, version_in_force
from records.base import table_of
from records.clinic import ROLE, Clinic

PROCESSES: Final = 4
GOAL: Final = 1_000.0
"""Milliseconds: 99 of 100 publications are in force everywhere sooner."""
PATIENCE: Final = 10.0
_seen = table_of(PolicyProcess).c
_MANY: Final = func.count(literal(1)).label("many")
_ALIVE: Final = Query(
    select(_MANY).where(_seen.seen_at > func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 10))
)
_FOLLOWED: Final = Query(
    select(_MANY, func.max(_seen.seen_at).label("last")).where(
        _seen.version == bindparam("version")
    )
)


def run(chosen: Settings, publications: int, *, as_json: bool) -> int:
    """Measure this alone and print it; return 0 if the goal is met."""
    console = Console(stderr=as_json, highlight=False)
    home = chosen.home / "bench"
    home.mkdir(parents=True, exist_ok=True)
    with console.status("Publishing"), place(home) as here:
        found = measure_propagation(here, publications)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        console.print(published(found), soft_wrap=True)
    return 0 if found["p99_ms"] <= GOAL else 1


def measure_propagation(here: Place, publications: int) -> dict[str, Any]:
    """Publish again and again; return milliseconds until every process decides by what was published."""
    with _deciding(here):
        return asyncio.run(_measure(here.settings.postgres_url, publications))


@contextmanager
def _deciding(here: Place) -> Iterator[None]:
    """Keep some processes that decide, besides the API."""
    names = [f"decider-{n}" for n in range(1, PROCESSES)]
    for name in names:
        here.start(name, "api.bench.propagation")
    try:
        yield
    finally:
        here.family.end(*names)


async def _measure(url: str, publications: int) -> dict[str, Any]:
    async with Database(url, role=ROLE, size=2) as database:
        await _until(database, _ALIVE, 60)
        taken = sorted([await _publication(database, n) for n in range(publications)])
    return {
        "processes": PROCESSES,
        "publications": publications,
        "p50_ms": round(taken[len(taken) // 2], 1),
        "p99_ms": round(taken[int(len(taken) * 0.99)], 1),
        "slowest_ms": round(taken[-1], 1),
    }


async def _publication(database: Database, number: int) -> float:
    """Publish once; return the milliseconds from just before its commit to the last process's word, by one clock."""
    note = f"the {number}th of the bench"
    rules = [*defaults(), Rule("bench", 4, "admin", "policy", "read", "allow", "True", note)]
    async with database.transaction() as session:
        version = await enact(session, rules, await version_in_force(session), reason=note)
        began = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    row = await _until(database, _FOLLOWED, PATIENCE, version=version)
    return float((row["last"] - began).total_seconds() * 1_000)


async def _until(database: Database, query: Query, seconds: float, **of: Any) -> Any:
    """Return the row of a query once it counts every process."""
    end = monotonic() + seconds
    while (row := await database.one(query, **of)) is None or row["many"] < PROCESSES:
        if monotonic() > end:
            raise ProcessError("not every process follows the rules in force")
        await asyncio.sleep(0.005)
    return row


async def _decide() -> None:
    chosen = settings()
    async with Clinic.open(chosen.postgres_url, open_provider(chosen.kms), pool=2):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_decide())
