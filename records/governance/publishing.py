"""Putting rules in force: a draft by another than its author, or an earlier version once more."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import update

from core.clock import now
from core.errors import Conflict, Forbidden, NotFound, PreconditionFailed
from policies.enforcer import PolicySnapshot
from policies.rules import Rule
from policies.safeguard import keep_open
from policies.vocabulary import Action
from records.access.me import Me
from records.access.versions import enact, version_in_force
from records.base import Executor
from records.clinic import Clinic
from records.governance.drafts import DRAFTS, draft_row, resource_of, unpublished
from records.governance.models import DraftStatus
from records.governance.versions import PUBLISHED, rules_of


async def publish_draft(
    session: Executor, clinic: Clinic, me: Me, draft_id: UUID, expected: int | None
) -> int:
    """Put another's draft in force; return the new version.

    `expected` is the version in force as the caller knows it. Raises Forbidden(`four-eyes`), PreconditionFailed,
    Conflict(`draft-published`, `draft-outdated`).
    """
    draft = await draft_row(session, clinic, me, draft_id, lock=True)
    await _agree(session, clinic, me, draft)
    unpublished(draft)
    head = await _hold(session, expected)
    if draft["base"] != head:
        raise Conflict("the draft was made for other rules", code="draft-outdated", version=head)
    version = await _enact(
        session,
        me,
        [Rule(**rule) for rule in draft["rules"]],
        head,
        reason=draft["reason"],
        author_id=draft["author_id"],
        draft_id=draft_id,
    )
    done = {"status": DraftStatus.PUBLISHED, "updated_at": now()}
    await session.execute(update(DRAFTS).where(DRAFTS.c.id == draft_id).values(done))
    return version


async def restore(
    session: Executor, clinic: Clinic, me: Me, version: int, expected: int | None
) -> int:
    """Put the rules of an earlier version in force again, as a new version; return its number.

    One person may do it: two have agreed to these rules before.
    """
    await clinic.gate.write(session, me, Action.PUBLISH, PUBLISHED)
    rules = await rules_of(session, version)
    if not rules:
        raise NotFound("there is no such version")
    head = await _hold(session, expected)
    reason = f"version {version} restored"
    return await _enact(session, me, rules, head, reason=reason, restored=version)


async def _agree(session: Executor, clinic: Clinic, me: Me, draft: Mapping[str, Any]) -> None:
    """Ask the policy, and beyond it for a second pair of eyes: no rule can do away with that."""
    own = draft["author_id"] == me.subject.id
    try:
        permit = await clinic.gate.write(session, me, Action.PUBLISH, resource_of(draft))
    except Forbidden:
        if own:
            raise Forbidden("another publishes what you wrote", code="four-eyes") from None
        raise
    if own:
        await clinic.gate.failed(me, permit, "four-eyes")
        raise Forbidden("another publishes what you wrote", code="four-eyes")


async def _hold(session: Executor, expected: int | None) -> int:
    """Return the version in force, held until the transaction ends, or raise PreconditionFailed."""
    head = await version_in_force(session)
    if expected is not None and head != expected:
        raise PreconditionFailed("another version is in force by now", version=head)
    return head


async def _enact(session: Executor, me: Me, rules: list[Rule], head: int, **about: Any) -> int:
    keep_open(PolicySnapshot.build(head + 1, rules))
    return await enact(session, rules, head, publisher_id=me.subject.id, **about)
