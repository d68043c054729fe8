"""A new root key of the blind indexes: every patient's tokens are made anew, a few patients at a time.

From the first moment on, what is written is found by the new key, and what is not made anew yet by the old one: a search asks
for both. A token under the old key is itself what is left to do; when there is none, nobody is looked for under it any more.
"""

import secrets
from collections.abc import Mapping
from typing import Any, Final

import structlog
from sqlalchemy import delete, func, select, update

from core.crypto.blind_index import IndexKey as Indexer
from core.crypto.envelope import DecryptError
from core.crypto.kek import KekProvider, KeyPurpose
from records.base import Executor, add, rewrite, table_of
from records.custody.steps import Step
from records.people.models import Identifier, Patient, PatientToken
from records.vault.indexes import TURN, identifier_token, indexer, irk_context, tokens
from records.vault.models import IndexKey
from records.vault.vault import Vault, sealed_rows

BATCH: Final = 50
_root: Final = table_of(IndexKey)
_key, _patient = _root.c, table_of(Patient).c
_token, _number = table_of(PatientToken).c, table_of(Identifier).c

log = structlog.get_logger()


async def begin(session: Executor, keys: KekProvider) -> int:
    """Make the new root key, once every transaction that writes tokens under the old one has ended."""
    await session.execute(select(func.pg_advisory_xact_lock(TURN)))
    newest = select(_root).order_by(_key.version.desc()).limit(1)
    old = (await session.execute(newest)).mappings().one()
    version: int = old["version"] + 1
    wrapped = keys.wrap(KeyPurpose.INDEX, secrets.token_bytes(32), irk_context(version))
    row = IndexKey(
        version=version,
        kek_version=wrapped.version,
        wrapped=wrapped.blob,
        patients=old["patients"],
    )
    await add(session, row)
    return version


async def step(session: Executor, keys: KekProvider, rotation: Mapping[str, Any]) -> Step:
    """Make the tokens of some patients anew, then numbers; the last step, that finds none, retires the old key."""
    target = rotation["target"]
    found = await session.execute(select(_root).where(_key.version == target))
    root, vault = found.mappings().one(), Vault(keys)
    key = indexer(keys, root)
    done, failed = await _patients(session, vault, key, root)
    failed += await _numbers(session, vault, key, target)
    if done or await _left(session, target):
        return Step(done=done, failed=failed)
    retired = update(IndexKey).where(_key.version < target)
    await session.execute(retired.values(retired=True))
    return Step(failed=failed, last=True)


async def extent(session: Executor) -> int:
    """Return how many patients have tokens."""
    counted = select(func.count(func.distinct(_token.patient_id)))
    return int((await session.execute(counted)).scalar_one())


async def _patients(
    session: Executor, vault: Vault, key: Indexer, root: Mapping[str, Any]
) -> tuple[int, int]:
    """Make the tokens of a batch of patients anew; one whose row does not open keeps none, since no search could show it."""
    version, failed = root["version"], 0
    older = _token.key_version < version
    due = select(_token.patient_id).where(older).distinct().limit(BATCH)
    locked = sealed_rows(Patient).where(_patient.id.in_(due))
    locked = locked.with_for_update(of=Patient, skip_locked=True, key_share=True)
    rows = (await session.execute(locked)).mappings().all()
    for row in rows:
        try:
            made = vault.worked_out(
                Patient, row, lambda v: set(tokens(key, root["patients"], Patient, v))
            )
        except DecryptError as error:
            log.error("a patient gets no tokens", code=error.code)
            made, failed = set(), failed + 1
        # New ones as well: whoever amended the patient, while we waited to lock them, has just written those.
        await session.execute(delete(PatientToken).where(_token.patient_id == row["patient_id"]))
        fresh = [
            PatientToken(index=i, key_version=version, token=t, patient_id=row["patient_id"])
            for i, t in made
        ]
        await add(session, *fresh)
    return len(rows), failed


async def _numbers(session: Executor, vault: Vault, key: Indexer, version: int) -> int:
    """Make the tokens of a batch of identifiers anew; one that does not open keeps the old one, and still takes its number."""
    failed = 0
    due = sealed_rows(Identifier, _number.token).where(_number.key_version < version).limit(BATCH)
    locked = due.with_for_update(of=Identifier, skip_locked=True, key_share=True)
    for row in (await session.execute(locked)).mappings().all():
        try:
            token = vault.worked_out(Identifier, row, lambda v: identifier_token(key, v["value"]))
        except DecryptError as error:
            log.error("an identifier keeps its token", code=error.code)
            token, failed = row["token"], failed + 1
        mine = update(Identifier).where(_number.id == row["row_id"])
        await rewrite(session, mine.values(token=token, key_version=version))
    return failed


async def _left(session: Executor, version: int) -> bool:
    for column in (_token.key_version, _number.key_version):
        if (await session.execute(select(column).where(column < version).limit(1))).first():
            return True
    return False
