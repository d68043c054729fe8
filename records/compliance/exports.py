"""Exports of the trail: asked for now, gathered by a chore with a proof for each event, fetched within a day."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from core.database import Database
from core.errors import Conflict, NotFound
from core.transparency.notes import Checkpoint, Note
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.audit import tree
from records.audit.models import AuditEvent, Leaf
from records.audit.queries import Filters
from records.base import add, table_of
from records.clinic import Clinic
from records.compliance.models import Export, ExportPart, ExportState
from records.compliance.proving import line_of, proofs_of

LIFE: Final = timedelta(hours=24)
PART: Final = 1_000
"""Events in a part: progress is told, and memory used, by so many."""
_LOCK: Final = 6_963

_event, _leaf = table_of(AuditEvent).c, table_of(Leaf).c
_export, _part = table_of(Export).c, table_of(ExportPart).c

log = structlog.get_logger()


async def ask(session: AsyncSession, clinic: Clinic, me: Me, filters: Filters) -> Export:
    """Put an export into the queue."""
    asked = Export(requested_by=me.subject.id, filters=filters.as_json(), expires_at=now() + LIFE)
    await clinic.gate.write(
        session, me, Action.EXPORT, Resource(ResourceType.AUDIT_EVENT, id=asked.id)
    )
    await add(session, asked)
    return asked


async def state_of(clinic: Clinic, me: Me, export_id: UUID) -> Mapping[str, Any]:
    """Return how far an export is; NotFound when it has expired."""
    await clinic.gate.read(me, Action.EXPORT, Resource(ResourceType.AUDIT_EVENT, id=export_id))
    alive = select(*_export).where(_export.id == export_id, _export.expires_at > func.now())
    rows = await clinic.database.select(alive)
    if not rows:
        raise NotFound("there is no such export (any more)")
    return rows[0]


async def lines(
    clinic: Clinic, me: Me, export_id: UUID
) -> tuple[Mapping[str, Any], AsyncIterator[list[dict[str, Any]]]]:
    """Return a finished export and its events, part by part, each as a bundle has it; Conflict while it runs."""
    found = await state_of(clinic, me, export_id)
    if found["state"] != ExportState.DONE:
        raise Conflict("the export is not finished", code="export-unfinished")
    return found, _parts(clinic.database, export_id)


async def _parts(database: Database, export_id: UUID) -> AsyncIterator[list[dict[str, Any]]]:
    number = 0
    while True:
        one = select(_part.lines).where(_part.export_id == export_id, _part.number == number)
        rows = await database.select(one)
        if not rows:
            return
        yield [orjson.loads(line) for line in rows[0]["lines"].splitlines()]
        number += 1


async def gather(database: Database) -> None:
    """Run the exports that wait, oldest first, and forget those past their day. A chore that fell is begun anew.

    One connection, locked, does the work of the tree; a chore has no second one of its kind.
    """
    async with database.transaction() as session:
        await session.execute(delete(ExportPart).where(_part.export_id.in_(_past())))
        await session.execute(delete(Export).where(_export.expires_at < func.now()))
    async with database.bare() as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            return
        try:
            unfinished = (ExportState.QUEUED, ExportState.RUNNING)
            waiting = select(_export.id, _export.filters).where(_export.state.in_(unfinished))
            for row in await database.select(waiting.order_by(_export.id)):
                await _try(database, connection, row["id"], Filters.of(row["filters"]))
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


def _past() -> Any:
    return select(_export.id).where(_export.expires_at < func.now())


async def _try(database: Database, connection: Any, export_id: UUID, filters: Filters) -> None:
    """Gather one export. What cannot be proved has failed, and keeps nobody else waiting."""
    try:
        await _gather_one(database, connection, export_id, filters)
    except tree.Incomplete:
        log.error("export failed: the tree lacks hashes", look="confide audit verify")
        async with database.transaction() as session:
            await _set(session, export_id, state=ExportState.FAILED)


async def _gather_one(
    database: Database, connection: Any, export_id: UUID, filters: Filters
) -> None:
    try:
        note = (await tree.newest(connection))["note"]
    except NotFound:
        return  # nothing is sealed yet: the next wake-up tries again
    size = Checkpoint.parse(Note.parse(note).text).size
    terms = [*filters.terms(), _leaf.leaf_index < size]
    wanted = (
        select(_leaf.leaf_index, _leaf.event_id, _leaf.leaf_hash, _event.body)
        .join_from(Leaf, AuditEvent, _event.id == _leaf.event_id)
        .where(*terms)
    )
    total = (await database.select(select(func.count()).select_from(wanted.subquery())))[0]["count"]
    async with database.transaction() as session:
        await session.execute(delete(ExportPart).where(_part.export_id == export_id))
        await _set(
            session, export_id, state=ExportState.RUNNING, total=total, done=0, checkpoint=note
        )
    after, number = -1, 0
    while rows := await database.select(
        wanted.where(_leaf.leaf_index > after).order_by(_leaf.leaf_index).limit(PART)
    ):
        content = await _proved(connection, rows, size)
        async with database.transaction() as session:
            await add(session, ExportPart(export_id=export_id, number=number, lines=content))
            await _set(session, export_id, done=number * PART + len(rows))
        after, number = rows[-1]["leaf_index"], number + 1
    async with database.transaction() as session:
        await _set(session, export_id, state=ExportState.DONE)


async def _proved(connection: Any, rows: Sequence[Mapping[str, Any]], size: int) -> bytes:
    """Return rows as lines of a bundle, each with its proof."""
    proofs = await proofs_of(connection, rows, size)
    return "".join(line_of(row, p) for row, p in zip(rows, proofs, strict=True)).encode()


async def _set(session: AsyncSession, export_id: UUID, **values: Any) -> None:
    await session.execute(update(Export).where(_export.id == export_id).values(values))
