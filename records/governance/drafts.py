"""Drafts of rules: written and changed by their author; `publishing` puts them in force."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select, update

from core.clock import now
from core.errors import Conflict, NotFound, PreconditionFailed
from policies.facts import Resource
from policies.lint import Finding, lint
from policies.rules import Rule, checksum
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.versions import version_in_force
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.governance.edits import Changes, Edit, compared, edited
from records.governance.models import DraftStatus, PolicyDraft
from records.governance.versions import POLICIES, rules_of

DRAFTS: Final = table_of(PolicyDraft)


@dataclass(frozen=True, slots=True)
class OpenDraft:
    """A draft as its reader sees it, with what the lint says and what is new in it."""

    id: UUID
    version: int
    status: str
    author_id: UUID
    base_version: int
    reason: str
    checksum: str
    rules: Sequence[Rule]
    changes: Changes
    findings: Sequence[Finding]
    created_at: datetime
    updated_at: datetime


async def start_draft(
    session: Executor,
    clinic: Clinic,
    me: Me,
    edit: Edit,
    shipped: Sequence[Rule] | None = None,
) -> OpenDraft:
    """Propose rules in place of those in force; raises BadRules or Lockout for what could never be published.

    `shipped`: the software's rules, where the draft is an answer to them.
    """
    base = await version_in_force(session)
    before = await rules_of(session, base)
    rules = edited(before, edit)
    draft = PolicyDraft(
        author_id=me.subject.id,
        base=base,
        reason=edit.reason or "",
        rules=[asdict(rule) for rule in rules],
        shipped=None if shipped is None else [asdict(rule) for rule in shipped],
    )
    await clinic.gate.write(session, me, Action.CREATE, resource_of(draft.model_dump()))
    await add(session, draft)
    return _opened(draft.model_dump(), before)


async def read_draft(session: Executor, clinic: Clinic, me: Me, draft_id: UUID) -> OpenDraft:
    """Return one draft, or raise NotFound."""
    row = await draft_row(session, clinic, me, draft_id)
    await clinic.gate.read(me, Action.READ, resource_of(row))
    return _opened(row, await rules_of(session, row["base"]))


async def list_drafts(
    clinic: Clinic, me: Me, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return drafts without their rules, newest first, and where the next page starts."""
    await clinic.gate.read(me, Action.SEARCH, POLICIES)
    columns = [c for c in DRAFTS.c if c.name not in ("rules", "base", "shipped")]
    statement = select(*columns, DRAFTS.c.base.label("base_version"))
    statement = statement.order_by(DRAFTS.c.id.desc()).limit(limit + 1)
    if after:
        statement = statement.where(DRAFTS.c.id < after)
    rows = await clinic.database.select(statement)
    return [dict(row) for row in rows[:limit]], rows[limit - 1]["id"] if len(rows) > limit else None


async def change_draft(
    session: Executor, clinic: Clinic, me: Me, draft_id: UUID, edit: Edit, expected: int | None
) -> OpenDraft:
    """Write on a draft, which then is meant for the rules in force now, and has the writer as its author."""
    row = await _to_change(session, clinic, me, draft_id, expected)
    base = await version_in_force(session)
    before = await rules_of(session, base)
    rules = edited([Rule(**rule) for rule in row["rules"]], edit)
    written = {
        "author_id": me.subject.id,
        "version": row["version"] + 1,
        "base": base,
        "reason": row["reason"] if edit.reason is None else edit.reason,
        "rules": [asdict(rule) for rule in rules],
        "updated_at": now(),
    }
    await session.execute(update(DRAFTS).where(DRAFTS.c.id == draft_id).values(written))
    return _opened({**row, **written}, before)


async def discard_draft(
    session: Executor, clinic: Clinic, me: Me, draft_id: UUID, expected: int | None
) -> None:
    """Drop a draft that is not in force."""
    await _to_change(session, clinic, me, draft_id, expected)
    await session.execute(delete(DRAFTS).where(DRAFTS.c.id == draft_id))


async def draft_row(
    session: Executor, clinic: Clinic, me: Me, draft_id: UUID, *, lock: bool = False
) -> Mapping[str, Any]:
    """Return a draft's row; who may not read policies at all does not learn which drafts there are."""
    await clinic.gate.require(me, Action.READ, POLICIES)
    statement = select(DRAFTS).where(DRAFTS.c.id == draft_id)
    found = await session.execute(statement.with_for_update() if lock else statement)
    row: Mapping[str, Any] | None = found.mappings().first()
    if row is None:
        raise NotFound("there is no such draft")
    return row


async def _to_change(
    session: Executor, clinic: Clinic, me: Me, draft_id: UUID, expected: int | None
) -> Mapping[str, Any]:
    """Return a draft's row, locked, if it is the caller's to change and is what the caller last saw."""
    row = await draft_row(session, clinic, me, draft_id, lock=True)
    await clinic.gate.write(session, me, Action.UPDATE, resource_of(row))
    unpublished(row)
    if expected is not None and row["version"] != expected:
        raise PreconditionFailed("the draft has changed", version=row["version"])
    return row


def unpublished(row: Mapping[str, Any]) -> None:
    """Raise Conflict for a draft that was published: it stays as it was."""
    if row["status"] != DraftStatus.DRAFT:
        raise Conflict("the draft is in force, or was", code="draft-published")


def resource_of(row: Mapping[str, Any]) -> Resource:
    return Resource(
        ResourceType.POLICY, id=row["id"], author_id=row["author_id"], status=row["status"]
    )


def _opened(row: Mapping[str, Any], before: Sequence[Rule]) -> OpenDraft:
    rules = sorted((Rule(**rule) for rule in row["rules"]), key=lambda r: (r.priority, r.id))
    return OpenDraft(
        id=row["id"],
        version=row["version"],
        status=row["status"],
        author_id=row["author_id"],
        base_version=row["base"],
        reason=row["reason"],
        checksum=checksum(rules),
        rules=rules,
        changes=compared(before, rules),
        findings=lint(rules),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
