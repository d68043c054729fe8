"""Simulating a draft: who would gain or lose what, which recent acts would go otherwise, and what no list shows.

A small clinic waits for the answer. A larger one is told where it will be: the work goes on in this process, its
progress is a row, and a simulation that has not moved for a minute has failed with its process.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from sqlalchemy import select, update

from core.clock import now
from core.errors import DomainError, NotFound
from policies.analysis import differences, verdicts
from policies.enforcer import PolicySnapshot
from policies.rules import Rule
from policies.vocabulary import Action
from records.access.me import Me
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.governance.drafts import found, resource_of
from records.governance.impact import Effect, Impact, measure, touched
from records.governance.models import PolicySimulation, SimulationStatus
from records.governance.replay import replay
from records.governance.versions import POLICIES
from records.identity.callers import everybody

AT_ONCE: Final = 60
"""People for whom an answer is worth waiting for."""
STUCK: Final = timedelta(minutes=1)

_simulation = table_of(PolicySimulation)
_running: set[asyncio.Task[None]] = set()

log = structlog.get_logger()


async def simulate(
    session: Executor, clinic: Clinic, me: Me, draft_id: UUID, days: int
) -> Mapping[str, Any]:
    """Simulate a draft against the rules in force; return what is known when the answer is due."""
    draft = await found(session, clinic, me, draft_id)
    await clinic.gate.read(me, Action.READ, resource_of(draft))
    old = clinic.policy.snapshot
    new = PolicySnapshot.build(old.version + 1, [Rule(**rule) for rule in draft["rules"]])
    people = [Me(c.subject, c.environment, me.origin) for c in await everybody(clinic.database)]
    concerned = list(touched(old, new, people))
    row = PolicySimulation(
        draft_id=draft_id, draft_version=draft["version"], base=old.version, total=len(concerned)
    )
    async with clinic.database.transaction() as own:
        await add(own, row)
    work = _work(clinic, row.id, people, concerned, old, new, days)
    if len(concerned) <= AT_ONCE:
        await work
    else:
        task = asyncio.create_task(work, name="policy simulation")
        _running.add(task)
        task.add_done_callback(_running.discard)
    return await read_simulation(clinic, me, row.id)


async def read_simulation(clinic: Clinic, me: Me, simulation_id: UUID) -> Mapping[str, Any]:
    """Return how far a simulation is, and its result when it is done."""
    await clinic.gate.read(me, Action.READ, POLICIES)
    rows = await clinic.database.select(
        select(_simulation).where(_simulation.c.id == simulation_id)
    )
    if not rows:
        raise NotFound("there is no such simulation")
    row = dict(rows[0])
    stuck = row["status"] == SimulationStatus.RUNNING and row["updated_at"] < now() - STUCK
    status = SimulationStatus.FAILED if stuck else row["status"]
    return {**row, "base_version": row["base"], "status": status}


async def _work(
    clinic: Clinic,
    simulation_id: UUID,
    people: Sequence[Me],
    concerned: Sequence[Me],
    old: PolicySnapshot,
    new: PolicySnapshot,
    days: int,
) -> None:
    """Do the whole work and keep what came of it, whatever that is."""
    try:
        impact = Impact(len(concerned))
        for done, person in enumerate(concerned, 1):
            impact.effects += await measure(clinic.database, person, old, new)
            if done % 10 == 0:
                await _keep(clinic, simulation_id, done=done)
        result = _result(impact) | {
            "replay": asdict(await replay(clinic.database, people, old, new, days)),
            "analysis": await asyncio.to_thread(_analysis, old, new),
        }
    except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
        log.error("simulation failed", error=type(error).__name__)
        await _keep(clinic, simulation_id, status=SimulationStatus.FAILED)
        return
    plain = orjson.loads(orjson.dumps(result, default=str))
    await _keep(
        clinic, simulation_id, status=SimulationStatus.DONE, done=len(concerned), result=plain
    )


def _result(impact: Impact) -> dict[str, Any]:
    return {
        "people": impact.people,
        "totals": impact.totals(),
        "effects": [asdict(effect) | {"because": _because(effect)} for effect in impact.effects],
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


async def _keep(clinic: Clinic, simulation_id: UUID, **values: Any) -> None:
    statement = update(_simulation).where(_simulation.c.id == simulation_id)
    async with clinic.database.transaction() as session:
        await session.execute(statement.values(updated_at=now(), **values))
