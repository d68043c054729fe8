"""Rewrapping: keys that an older KEK wraps are wrapped by the newest, a few at a time. Only those bytes change."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Select, Table, bindparam, func, select, update

from core.crypto.kek import KekProvider, KeyPurpose, Wrapped
from records.audit.models import KnownProducer
from records.audit.producers import producer_context
from records.base import Executor, rewrite, table_of
from records.custody.steps import Step
from records.vault.indexes import irk_context
from records.vault.models import IndexKey, PatientKey
from records.vault.vault import dek_context

BATCH: Final = 200
TABLES: Final[Mapping[KeyPurpose, Table]] = {
    KeyPurpose.RECORD: table_of(PatientKey),
    KeyPurpose.INDEX: table_of(IndexKey),
    KeyPurpose.AUDIT: table_of(KnownProducer),
}
"""Where the keys are that a purpose's KEK wraps."""


async def step(session: Executor, keys: KekProvider, rotation: Mapping[str, Any]) -> Step:
    """Rewrap a batch; the last step finds none. What another transaction holds is left for the next one."""
    purpose = KeyPurpose(rotation["purpose"])
    table = TABLES[purpose]
    older = (
        _older(table, rotation["target"])
        .limit(BATCH)
        .with_for_update(skip_locked=True, key_share=True)
    )
    rows = (await session.execute(older)).mappings().all()
    for row in rows:
        await _rewrap(session, keys, purpose, table, row)
    left = 0 if rows else await _count(session, _older(table, rotation["target"]))
    return Step(done=len(rows), last=not rows and not left)


async def extent(session: Executor, purpose: KeyPurpose) -> int:
    """Return how many keys a purpose's KEK wraps."""
    return await _count(session, _wrapped(TABLES[purpose]))


async def in_use(session: Executor, purpose: KeyPurpose, version: int) -> int:
    """Return how many keys one version of a KEK still wraps."""
    table = TABLES[purpose]
    return await _count(session, _wrapped(table).where(table.c.kek_version == version))


def _wrapped(table: Table) -> Select[Any]:
    return select(table).where(table.c.wrapped.is_not(None))


def _older(table: Table, version: int) -> Select[Any]:
    return _wrapped(table).where(table.c.kek_version < version).order_by(*table.primary_key)


async def _count(session: Executor, rows: Select[Any]) -> int:
    found = await session.execute(select(func.count()).select_from(rows.subquery()))
    return int(found.scalar_one())


async def _rewrap(
    session: Executor, keys: KekProvider, purpose: KeyPurpose, table: Table, row: Mapping[str, Any]
) -> None:
    """Compare and swap, although the row is locked: a wrapped key must never be lost to a second writer."""
    context = _context(purpose, row)
    fresh = keys.rewrap(purpose, Wrapped(row["kek_version"], row["wrapped"]), context)
    (name,) = table.primary_key
    swap = update(table).where(name == bindparam("k"), table.c.wrapped == bindparam("old"))
    renewed = swap.values(wrapped=fresh.blob, kek_version=fresh.version)
    await rewrite(session, renewed, {"k": row[name.name], "old": row["wrapped"]})


def _context(purpose: KeyPurpose, row: Mapping[str, Any]) -> bytes:
    if purpose is KeyPurpose.AUDIT:
        return producer_context(row["boot"])
    if purpose is KeyPurpose.INDEX:
        return irk_context(row["version"])
    return dek_context(row["patient_id"], row["key_id"], row["version"])
