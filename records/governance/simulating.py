"""Simulating a draft: who would gain or lose what, which recent acts would go otherwise, and what no list shows.

The API only asks for it. A chore finds what was asked for in the database and does it, some people at a time; how far it
came is in the row, so that after a kill the next wake-up goes on from there.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from sqlalchemy import select, update

from core.clock import now
from core.database import Database
from core.errors import DomainError, NotFound, Unavailable
from core.ids import new_id
from policies.analysis import differences, verdicts
from policies.enforcer import PolicySnapshot
from policies.rules import Rule
from policies.vocabulary import Action
from records.access.me import Me
from records.audit.event import Origin
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.governance.drafts import draft_row, resource_of
from records.governance.impact import Effect, measure, totals, touched
from records.governance.models import PolicySimulation, SimulationStatus
from records.governance.replay import replay
from records.governance.versions import POLICIES, rules_of
from records.identity.callers import everybody

AT_ONCE: Final = 10
"""People counted before it is written down how far the work came."""
_LOCK: Final = 6_964
_OPEN: Final = (SimulationStatus.QUEUED, SimulationStatus.RUNNING)

_simulation = table_of(PolicySimulation)

log = structlog.get_logger()


async def ask(
    session: Executor, clinic: Clinic, me: Me, draft_id: UUID, days: int
) -> Mapping[str, Any]:
    """Ask for a draft, as it is written now, to be simulated against the rules in force."""
    draft = await draft_row(session, clinic, me, draft_id)
    await clinic.gate.read(me, Action.READ, resource_of(draft))
    row = PolicySimulation(
        draft_id=draft_id,
        draft_version=draft["version"],
        base=clinic.policy.snapshot.version,
        rules=draft["rules"],
        days=days,
    )
    await add(session, row)
    return _shown(row.model_dump())


async def read_simulation(clinic: Clinic, me: Me, simulation_id: UUID) -> Mapping[str, Any]:
    """Return how far a simulation is, and its result when it is done."""
    await clinic.gate.read(me, Action.READ, POLICIES)
    rows = await clinic.database.select(
        select(_simulation).where(_simulation.c.id == simulation_id)
    )
    if not rows:
        raise NotFound("there is no such simulation")
    return _shown(rows[0])


async def work(database: Database, seconds: float) -> None:
    """Go on with the simulations that were asked for, oldest first, for so long; one process at a time does."""
    until = monotonic() + seconds
    async with database.bare() as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            return
        try:
            waiting = select(_simulation).where(_simulation.c.status.in_(_OPEN))
            for row in await database.select(waiting.order_by(_simulation.c.id)):
                await _attempt(database, row, until)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def _attempt(database: Database, row: Mapping[str, Any], until: float) -> None:
    try:
        await _go_on(await _job(database, row), until)
    except Unavailable:
        raise  # another wake-up finds it as it is
    except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
        log.error("simulation failed", error=type(error).__name__)
        await _keep(database, row["id"], status=SimulationStatus.FAILED)


@dataclass(slots=True)
class _Job:
    """One simulation, and how far it is."""

    database: Database
    id: UUID
    days: int
    old: PolicySnapshot
    new: PolicySnapshot
    people: Sequence[Me]
    left: list[Me]
    total: int
    effects: list[Effect]


async def _job(database: Database, row: Mapping[str, Any]) -> _Job:
    """Build both versions of the rules, and find the people who are yet to be counted."""
    async with database.transaction() as session:
        before = await rules_of(session, row["base"])
    old = PolicySnapshot.build(row["base"], before)
    new = PolicySnapshot.build(row["base"] + 1, [Rule(**rule) for rule in row["rules"]])
    origin = Origin("chore simulation", str(new_id()))
    people = [Me(c.subject, c.environment, origin) for c in await everybody(database)]
    concerned = list(touched(old, new, people))
    left = [me for me in concerned if row["last"] is None or me.subject.id > row["last"]]
    effects = [Effect.of(effect) for effect in row["effects"]]
    return _Job(database, row["id"], row["days"], old, new, people, left, len(concerned), effects)


async def _go_on(job: _Job, until: float) -> None:
    """Count people until all are counted or the time is up; then say the rest and be done."""
    status: dict[str, Any] = {"status": SimulationStatus.RUNNING, "total": job.total}
    await _keep(job.database, job.id, done=job.total - len(job.left), **status)
    while job.left and monotonic() < until:
        some, job.left = job.left[:AT_ONCE], job.left[AT_ONCE:]
        for person in some:
            job.effects += await measure(job.database, person, job.old, job.new)
        await _keep(
            job.database,
            job.id,
            done=job.total - len(job.left),
            last=some[-1].subject.id,
            effects=_plain([asdict(effect) for effect in job.effects]),
        )
    if not job.left:
        result = _plain(await _result(job))
        await _keep(job.database, job.id, status=SimulationStatus.DONE, result=result)


async def _result(job: _Job) -> dict[str, Any]:
    return {
        "people": job.total,
        "totals": totals(job.effects),
        "effects": [asdict(effect) | {"because": _because(effect)} for effect in job.effects],
        "replay": asdict(await replay(job.database, job.people, job.old, job.new, job.days)),
        "analysis": await asyncio.to_thread(_analysis, job.old, job.new),
    }


def _because(effect: Effect) -> str | None:
    """Return the rule to thank or to blame: the one that lets in now, or that keeps out now."""
    return effect.after or effect.before


def _analysis(old: PolicySnapshot, new: PolicySnapshot) -> dict[str, Any]:
    """Return what z3 finds, or that it is not there to ask."""
    try:
        return {
            "available": True,
            "differences": [asdict(v) for v in differences(old, new)],
            "invariants": [asdict(v) for v in verdicts(new)],
        }
    except DomainError as refusal:
        return {"available": False, "reason": refusal.detail}


def _plain(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value, default=str))


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**row, "base_version": row["base"]}


async def _keep(database: Database, simulation_id: UUID, **values: Any) -> None:
    statement = update(_simulation).where(_simulation.c.id == simulation_id)
    async with database.transaction() as session:
        await session.execute(statement.values(updated_at=now(), **values))
