"""Rotating keys while the clinic works: asked for in a row, done by a chore, a short transaction at a time.

Each step leaves everything readable, so a killed rotation is not half done but partly done, and the next wake-up goes on. Nothing
remembers a position: a wrapped key of an older KEK, or a data key older than the rotation, is itself what is left to do.
"""

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, true, update

from core.clock import now
from core.crypto.kek import KekProvider, KeyPurpose
from core.database import Database
from core.errors import NotFound
from policies.facts import Resource
from policies.vocabulary import Action, Outcome, Purpose, ResourceType
from records.access.me import Me
from records.audit.event import Event, Origin
from records.audit.trail import Trail
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.custody import blind, dek, kek
from records.custody.models import KeyRotation, RotationKind, RotationState
from records.custody.steps import Step
from records.vault.models import KeyState, PatientKey

PAUSE: Final = 0.2
"""Seconds before the next look at what is left, when others hold all of it: each look is an event."""
ROLE: Final = "confide_keys"
"""The database role of rotations: it reads and rewrites sealed cells and wrapped keys, and asks nobody's name."""

_rotation: Final = table_of(KeyRotation)
_key: Final = table_of(PatientKey).c
_OPEN: Final = (
    select(_rotation)
    .where(_rotation.c.state != RotationState.DONE)
    .order_by(_rotation.c.id)
    .limit(1)
)


async def request_rotation(
    session: Executor,
    clinic: Clinic,
    me: Me,
    kind: RotationKind,
    purpose: KeyPurpose = KeyPurpose.RECORD,
    patient_id: UUID | None = None,
) -> KeyRotation:
    """Ask for a rotation and return it, pending; NotFound for a patient who is not there."""
    row = KeyRotation(kind=kind, purpose=purpose, patient_id=patient_id, requested_by=me.subject.id)
    await clinic.gate.write(session, me, Action.CREATE, Resource(ResourceType.KEY, id=row.id))
    row.total = await _extent(session, row)
    if patient_id and not row.total:
        raise NotFound("there is no such patient, or no key of theirs is left")
    await add(session, row)
    return row


async def read_rotation(clinic: Clinic, me: Me, rotation_id: UUID) -> Mapping[str, Any]:
    """Return one rotation with its progress."""
    await clinic.gate.read(me, Action.READ, Resource(ResourceType.KEY, id=rotation_id))
    rows = await clinic.database.select(select(_rotation).where(_rotation.c.id == rotation_id))
    if not rows:
        raise NotFound("there is no such rotation")
    return rows[0]


async def list_rotations(
    clinic: Clinic, me: Me, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return the rotations, the latest first, and where the next page starts."""
    await clinic.gate.read(me, Action.SEARCH, Resource(ResourceType.KEY))
    statement = select(_rotation).order_by(_rotation.c.id.desc()).limit(limit + 1)
    if after:
        statement = statement.where(_rotation.c.id < after)
    rows = await clinic.database.select(statement)
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None


async def work(database: Database, keys: KekProvider, seconds: float) -> None:
    """Go on with the oldest open rotation for so long at most."""
    if not await database.select(_OPEN):
        return
    until, trail = monotonic() + seconds, Trail(database, keys)
    await trail.start()
    try:
        while monotonic() < until and await step(database, keys, trail):
            pass
    finally:
        await trail.stop()


async def step(database: Database, keys: KekProvider, trail: Trail) -> bool:
    """Make one step of the oldest open rotation that nobody else is at; False when there is none.

    What it writes is an event like any other: else a row sealed anew would look like one that was tampered with.
    """
    open_ones = _OPEN.with_for_update(skip_locked=True, key_share=True)
    async with database.transaction() as session:
        found = (await session.execute(open_ones)).mappings().first()
        if found is None:
            return False
        row = dict(found)
        if row["state"] == RotationState.PENDING:
            target = await _begin(session, keys, row)
            await _keep(session, row, state=RotationState.RUNNING, target=target)
            return True
        act = _STEPS[row["kind"]]
        await trail.note_within(session, _event(row))
        made: Step = await act(session, keys, row)
        ended = {"state": RotationState.DONE, "finished_at": now()} if made.last else {}
        counts = {"done": row["done"] + made.done, "failed": row["failed"] + made.failed}
        await _keep(session, row, **counts, **ended)
    if not (made.done or made.last):
        await asyncio.sleep(PAUSE)
    return True


def _event(row: Mapping[str, Any]) -> Event:
    return Event(
        actor=row["requested_by"],
        action=Action.UPDATE,
        outcome=Outcome.ALLOW,
        purpose=Purpose.OPERATIONS,
        reason=f"{row['kind']}-rotation",
        resource_type=ResourceType.KEY,
        resource_ids=(row["id"],),
        patient=row["patient_id"],
        origin=Origin("keys.rotate", str(row["id"])),
    )


_STEPS: Final = {
    RotationKind.KEK: kek.step,
    RotationKind.DEK: dek.step,
    RotationKind.INDEX: blind.step,
}


async def _begin(session: Executor, keys: KekProvider, row: Mapping[str, Any]) -> int | None:
    """Make the new version. A KEK twice, if the commit that follows fails: one more version does no harm."""
    if row["kind"] == RotationKind.INDEX:
        return await blind.begin(session, keys)
    return keys.add_version(row["purpose"]) if row["kind"] == RotationKind.KEK else None


async def _keep(session: Executor, row: Mapping[str, Any], **values: Any) -> None:
    await session.execute(update(_rotation).where(_rotation.c.id == row["id"]).values(**values))


async def _extent(session: Executor, row: KeyRotation) -> int:
    """Return how many keys the rotation is about."""
    if row.kind == RotationKind.INDEX:
        return await blind.extent(session)
    if row.kind == RotationKind.KEK:
        return await kek.extent(session, row.purpose)
    whose = _key.patient_id == row.patient_id if row.patient_id else true()
    counted = (
        select(func.count()).select_from(PatientKey).where(_key.state == KeyState.ACTIVE, whose)
    )
    return int((await session.execute(counted)).scalar_one())
