"""What the software's own rules have become since a clinic began to keep its own: three-way, as a draft to read and publish.

The base is what the software had when it was last answered: the last version that came with it, or the last upgrade that
was published and not taken back. What the base and the clinic have alike follows the software; where the clinic went its own
way it stays so, and the difference is named once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import exists, func, select

from policies.rules import Rule, defaults
from policies.vocabulary import Action
from records.access.me import Me
from records.access.models import PolicyVersion
from records.access.versions import version_in_force
from records.base import Executor, table_of
from records.clinic import Clinic
from records.governance.drafts import OpenDraft, start_draft
from records.governance.edits import Edit
from records.governance.models import PolicyDraft
from records.governance.versions import POLICIES, rules_of

_version = table_of(PolicyVersion).c
_later = table_of(PolicyVersion).alias("later").c
_draft = table_of(PolicyDraft).c
_SHIPPED: Final = select(func.max(_version.version)).where(_version.publisher_id.is_(None))
_TAKEN_BACK: Final = exists().where(
    _later.version > _version.version, _later.restored < _version.version
)
_ANSWERED: Final = (
    select(_version.version, _draft.shipped)
    .where(_draft.id == _version.draft_id, _draft.shipped.is_not(None), ~_TAKEN_BACK)
    .order_by(_version.version.desc())
    .limit(1)
)


@dataclass(slots=True)
class Upgrade:
    """What to put into the clinic's rules and what to take out; `kept` are ids that the clinic has otherwise."""

    base_version: int
    version: int
    put: list[Rule] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


async def read_upgrade(session: Executor, clinic: Clinic, me: Me) -> Upgrade:
    """Return what the software's rules of today would change of the clinic's."""
    await clinic.gate.read(me, Action.READ, POLICIES)
    return await _upgrade(session)


async def draft_upgrade(session: Executor, clinic: Clinic, me: Me, reason: str) -> OpenDraft:
    """Propose the software's rules of today, as far as the clinic has not gone its own way."""
    found = await _upgrade(session)
    edit = Edit(reason, None, found.put, found.remove)
    return await start_draft(session, clinic, me, edit, shipped=defaults())


async def _upgrade(session: Executor) -> Upgrade:
    version = await version_in_force(session)
    mine = await rules_of(session, version)
    answered: Any = (await session.execute(_ANSWERED)).first()
    if answered:
        old = [Rule(**rule) for rule in answered.shipped]
        return merged(Upgrade(answered.version, version), old, mine, defaults())
    base: int = (await session.execute(_SHIPPED)).scalar_one()
    return merged(Upgrade(base, version), await rules_of(session, base), mine, defaults())


def merged(
    found: Upgrade, old: Sequence[Rule], mine: Sequence[Rule], new: Sequence[Rule]
) -> Upgrade:
    """Fill in what came of three sets of rules: what the clinic began with, what it has, what there is now."""
    was, have, are = (_by_id(rules) for rules in (old, mine, new))
    for rule_id in sorted(was.keys() | are.keys()):
        before, ours, after = (rules.get(rule_id) for rules in (was, have, are))
        if after in (before, ours):
            continue
        if ours != before:
            found.kept.append(rule_id)
        elif after is None:
            found.remove.append(rule_id)
        else:
            found.put.append(after)
    return found


def _by_id(rules: Sequence[Rule]) -> Mapping[str, Any]:
    return {rule.id: rule for rule in rules}
