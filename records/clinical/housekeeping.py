"""Blobs that nothing names any more: an upload that broke off, a row that rolled back, a patient who was erased."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select, union_all

from core.blobs import Blobs
from core.database import Database
from records.base import table_of
from records.clinical.models import Attachment, CardImage
from records.vault.models import KeyState, PatientKey

AGE: Final = 6 * 3600.0
"""Seconds after which a blob without a row is an orphan: no upload takes so long."""
BATCH: Final = 500

_key = table_of(PatientKey).c


async def sweep(database: Database, blobs: Blobs, age: float = AGE) -> int:
    """Remove blobs that have no row, or whose key was destroyed; return how many."""
    found = list(blobs.older_than(age))
    removed = 0
    for start in range(0, len(found), BATCH):
        some = found[start : start + BATCH]
        for orphan in set(some) - await _needed(database, some):
            blobs.drop(orphan)
            removed += 1
    return removed


async def _needed(database: Database, ids: Sequence[UUID]) -> set[UUID]:
    kept = (
        select(table.c.id)
        .join_from(table, PatientKey, _key.key_id == table.c.key_id)
        .where(table.c.id.in_(ids), _key.state != KeyState.DESTROYED)
        for table in (table_of(Attachment), table_of(CardImage))
    )
    return {row["id"] for row in await database.select(union_all(*kept))}
