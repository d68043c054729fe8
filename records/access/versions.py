"""Versions of the rules: each is written once and whole, never changed; the head says which one is in force."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import func, select, update

from policies.rules import Rule, checksum, defaults
from records.access.models import PolicyHead, PolicyRule, PolicyVersion
from records.base import Executor, add, table_of

CHANNEL: Final = "confide_policy"
"""PostgreSQL tells every process on it that there is a newer version, when the publication commits."""

_head, _version = table_of(PolicyHead), table_of(PolicyVersion)


async def version_in_force(session: Executor) -> int:
    """Return the version in force and hold it there until the transaction ends."""
    found = await session.execute(select(_head.c.version).with_for_update())
    version: int = found.scalar_one()
    return version


async def enact(session: Executor, rules: Sequence[Rule], after: int, **about: Any) -> int:
    """Write checked rules as the version `after` + 1 and put it in force; the caller holds the head."""
    version = after + 1
    fingerprint = checksum(rules)
    rows = [_row(version, rule) for rule in rules]
    await add(session, PolicyVersion(version=version, checksum=fingerprint, **about), *rows)
    if after:
        await session.execute(update(_head).values(version=version))
    else:
        await add(session, PolicyHead(version=version))
    await session.execute(select(func.pg_notify(CHANNEL, str(version))))
    return version


async def publish_defaults(session: Executor) -> bool:
    """Put the shipped rules in force, unless they are or the clinic has made its own; tell whether they were new."""
    statement = (
        select(_version.c.version, _version.c.checksum, _version.c.publisher_id)
        .join_from(_head, _version)
        .with_for_update(of=_head)
    )
    head: Any = (await session.execute(statement)).first()
    rules = defaults()
    if head and (head.publisher_id or head.checksum == checksum(rules)):
        return False
    reason = "the rules that come with the software"
    await enact(session, rules, head.version if head else 0, reason=reason)
    return True


def rule_of(row: Any) -> Rule:
    """Return the rule a row of `policy_rule` holds."""
    return Rule(**{name: row[name] for name in Rule.__dataclass_fields__})


def _row(version: int, rule: Rule) -> PolicyRule:
    fields = {name: getattr(rule, name) for name in Rule.__dataclass_fields__}
    return PolicyRule(version=version, **fields)
