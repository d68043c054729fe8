"""Blobs that nothing names any more: an upload that broke off, a row that rolled back, a patient who was erased."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select

from core.blobs import Blobs
from core.database import Database
from records.base import table_of
from records.clinical.models import Attachment
from records.vault.models import KeyState, PatientKey

AGE: Final = 6 * 3600.0
"""Seconds after which a blob without a row is an orphan: no upload takes so long."""
BATCH: Final = 500

_attachment, _key = table_of(Attachment).c, table_of(PatientKey).c


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
    rows = await database.select(
        select(_attachment.id)
        .join_from(Attachment, PatientKey, _key.key_id == _attachment.key_id)
        .where(_attachment.id.in_(ids), _key.state != KeyState.DESTROYED)
    )
    return {row["id"] for row in rows}
