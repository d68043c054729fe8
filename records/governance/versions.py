"""The rules in force and those that once were: read by whoever may."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Select, func, select

from core.errors import NotFound
from policies.facts import Resource
from policies.rules import Rule
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.models import PolicyHead, PolicyProcess, PolicyRule, PolicyVersion
from records.access.versions import rule_of
from records.base import Executor, table_of
from records.clinic import Clinic

POLICIES: Final = Resource(ResourceType.POLICY)
PUBLISHED: Final = Resource(ResourceType.POLICY, status="published")

ALIVE: Final = timedelta(seconds=10)
"""A process that has not looked for so long has ended."""

_head, _version, _rule = (table_of(kind).c for kind in (PolicyHead, PolicyVersion, PolicyRule))
_process = table_of(PolicyProcess).c


async def rules_in_force(clinic: Clinic, me: Me) -> Mapping[str, Any]:
    """Return the version in force with its rules."""
    await clinic.gate.read(me, Action.READ, POLICIES)
    async with clinic.database.transaction() as session:
        return await whole(session, select(_head.version).scalar_subquery())


async def read_version(clinic: Clinic, me: Me, version: int) -> Mapping[str, Any]:
    """Return one version with its rules, or raise NotFound."""
    await clinic.gate.read(me, Action.READ, POLICIES)
    async with clinic.database.transaction() as session:
        return await whole(session, version)


async def list_versions(
    clinic: Clinic, me: Me, *, limit: int, before: int | None = None
) -> tuple[Sequence[Mapping[str, Any]], int | None]:
    """Return versions without their rules, newest first, and the last one if there are more."""
    await clinic.gate.read(me, Action.SEARCH, POLICIES)
    statement = _versions().order_by(_version.version.desc()).limit(limit + 1)
    if before is not None:
        statement = statement.where(_version.version < before)
    rows = await clinic.database.select(statement)
    return [dict(row) for row in rows[:limit]], rows[limit - 1]["version"] if len(
        rows
    ) > limit else None


async def rules_of(session: Executor, version: int) -> list[Rule]:
    """Return the rules of a version; none if there is no such version."""
    found = await session.execute(select(*_rule).where(_rule.version == version))
    return [rule_of(row) for row in found.mappings()]


def _versions() -> Select[Any]:
    count = select(func.count()).where(_rule.version == _version.version).scalar_subquery()
    return select(*_version, count.label("rule_count"))


async def whole(session: Executor, version: Any) -> Mapping[str, Any]:
    """Return a version with its rules, in the order in which they decide, or raise NotFound."""
    found = await session.execute(_versions().where(_version.version == version))
    head = found.mappings().first()
    if head is None:
        raise NotFound("there is no such version")
    rules = await rules_of(session, head["version"])
    return {**head, "rules": sorted(rules, key=lambda rule: (rule.priority, rule.id))}


async def list_processes(clinic: Clinic, me: Me) -> Sequence[Mapping[str, Any]]:
    """Return the processes that decide now, each with the version it decides by."""
    await clinic.gate.read(me, Action.READ, POLICIES)
    lately = _process.seen_at > func.now() - ALIVE
    in_force = (_process.version == select(_head.version).scalar_subquery()).label("current")
    statement = select(*_process, in_force).where(lately).order_by(_process.process)
    return [dict(row) for row in await clinic.database.select(statement)]
