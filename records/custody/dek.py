"""New data keys: a patient's cells are all sealed anew in one transaction, so no reader meets half a chart.

Locks are FOR NO KEY UPDATE: writers whose foreign keys point at a locked row go on, and nothing deadlocks with them.

A writer that read the old key just before may still add a row under it. Old keys go on opening, and before a rotation ends
it looks for such stragglers.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Select, bindparam, select, update

from core.crypto.envelope import DataKey, DecryptError
from core.crypto.kek import KekProvider
from records.base import Executor, Protected, add, rewrite, table_of
from records.custody.steps import Step
from records.vault.models import KeyState, PatientKey
from records.vault.vault import Vault, sealed_rows

BATCH: Final = 200
_key: Final = table_of(PatientKey)

log = structlog.get_logger()


async def step(session: Executor, keys: KekProvider, rotation: Mapping[str, Any]) -> Step:
    """Give one patient a new key, or, when all have one, move some stragglers to it."""
    old = (await session.execute(_next(rotation))).mappings().first()
    vault = Vault(keys)
    if old is None:
        return await _move_stragglers(session, vault)
    row, fresh = await vault.new_key(old["patient_id"], old["version"] + 1)
    retired = update(_key).where(_key.c.key_id == old["key_id"])
    await rewrite(session, retired.values(state=KeyState.DECRYPT_ONLY))
    await add(session, row)
    failed = 0
    for kind in protected():
        column = table_of(kind).c
        theirs = sealed_rows(kind).where(
            column.patient_id == old["patient_id"], column.key_id != row.key_id
        )
        found = await session.execute(theirs.with_for_update(of=table_of(kind), key_share=True))
        failed += await _reseal(session, vault, kind, found.mappings().all(), fresh)
    return Step(done=1, failed=failed)


def protected(kind: type[Protected] = Protected) -> Iterator[type[Protected]]:
    """Yield every table class with sealed cells."""
    for each in kind.__subclasses__():
        yield each
        yield from protected(each)


def _next(rotation: Mapping[str, Any]) -> Select[Any]:
    """Select, and lock, an active key that is older than the rotation."""
    due = select(_key).where(
        _key.c.state == KeyState.ACTIVE, _key.c.created_at < rotation["created_at"]
    )
    if rotation["patient_id"]:
        due = due.where(_key.c.patient_id == rotation["patient_id"])
    return due.order_by(_key.c.key_id).limit(1).with_for_update(skip_locked=True, key_share=True)


async def _move_stragglers(session: Executor, vault: Vault) -> Step:
    """Move rows that retired keys still seal; the last step moves none."""
    moved = 0
    for kind in protected():
        under_old = sealed_rows(kind).where(_key.c.state == KeyState.DECRYPT_ONLY).limit(BATCH)
        locked = under_old.with_for_update(of=table_of(kind), skip_locked=True, key_share=True)
        rows = (await session.execute(locked)).mappings().all()
        for row in rows:
            active = _key.c.patient_id == row["patient_id"], _key.c.state == KeyState.ACTIVE
            found = (await session.execute(select(_key).where(*active))).mappings().first()
            if found:
                moved += 1 - await _reseal(session, vault, kind, [row], vault.key(_as_row(found)))
    return Step(last=not moved)


def _as_row(key: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a key's row under the names that `sealed_columns` gives it."""
    return {**key, "key_version": key["version"], "key_state": key["state"]}


async def _reseal(
    session: Executor,
    vault: Vault,
    kind: type[Protected],
    rows: Sequence[Mapping[str, Any]],
    fresh: DataKey,
) -> int:
    """Seal rows under a fresh key; return how many did not open and were left as they are."""
    table, failed = table_of(kind), 0
    swap = update(table).where(table.c.id == bindparam("row"), table.c.key_id == bindparam("old"))
    for row in rows:
        try:
            cells = vault.reseal(kind, row, fresh)
        except DecryptError as error:
            log.error("a row was not resealed", table=table.name, code=error.code)
            failed += 1
            continue
        named = {"row": row["row_id"], "old": row["key_id"]}
        await rewrite(session, swap.values(key_id=fresh.key_id, **cells), named)
    return failed
