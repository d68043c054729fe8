"""Erasing a patient: the keys are destroyed, and with them everything they sealed, in every copy of the database.

What is left is noise, and the proof that it was read or refused before: events name a patient by a number that now
leads nowhere. One person asks for it, another one does it, and a legal hold forbids it. Whoever has several ids is erased
under all of them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update

from core.clock import now
from core.errors import Conflict, Locked, NotFound
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import ids_of, person_of
from records.base import Executor, add, rewrite, table_of
from records.clinic import Clinic
from records.custody.models import Erasure, ErasureReason, LegalHold
from records.identity.models import Account
from records.people.models import Identifier, Patient, PatientToken
from records.vault.models import KeyState, PatientKey

_patient, _erasure, _hold = table_of(Patient), table_of(Erasure), table_of(LegalHold)
_key, _account = table_of(PatientKey), table_of(Account)
_number, _token = table_of(Identifier), table_of(PatientToken)
REQUESTED: Final = "requested"
ERASED: Final = "erased"
BACKUPS: Final = timedelta(days=35)
"""How long backups of wrapped keys are kept: after that no copy anywhere can be opened."""


async def erase(
    session: Executor, clinic: Clinic, me: Me, patient_id: UUID, reason: ErasureReason
) -> Mapping[str, Any]:
    """Ask for an erasure, or do the one that somebody else asked for; return how it stands.

    Raises Locked(`legal-hold`), Conflict(`second-approver-needed`) for the one who asked, Conflict(`already-erased`).
    """
    patient = await _patient_for(session, clinic, me, patient_id, Action.ERASE)
    if await _held(session, patient_id):
        raise Locked("a legal hold keeps this patient's data", code="legal-hold")
    standing = await _standing(session, patient_id)
    if standing is None:
        await clinic.gate.write(session, me, Action.ERASE, patient, reason=REQUESTED)
        row = Erasure(patient_id=patient_id, reason=reason, requested_by=me.subject.id)
        await add(session, row)
    elif standing["erased_at"]:
        raise Conflict("this patient is erased already", code="already-erased")
    elif standing["requested_by"] == me.subject.id:
        raise Conflict("another person must agree", code="second-approver-needed")
    else:
        await clinic.gate.write(session, me, Action.ERASE, patient, reason=ERASED)
        await _destroy(session, me, standing)
    return _shown(await _standing(session, patient_id) or {})


async def withdraw(session: Executor, clinic: Clinic, me: Me, patient_id: UUID) -> None:
    """Take back a request that nobody has agreed to yet; NotFound when there is none."""
    patient = await _patient_for(session, clinic, me, patient_id, Action.ERASE)
    await clinic.gate.write(session, me, Action.ERASE, patient, reason="withdrawn")
    theirs = _erasure.c.patient_id.in_(ids_of(patient_id))
    waiting = delete(_erasure).where(theirs, _erasure.c.erased_at.is_(None))
    if not (await session.execute(waiting.returning(_erasure.c.id))).first():
        raise NotFound("no erasure of this patient waits")


async def read_erasure(
    session: Executor, clinic: Clinic, me: Me, patient_id: UUID
) -> Mapping[str, Any]:
    """Return the request, or, once it is done, the certificate."""
    patient = await _patient_for(session, clinic, me, patient_id, Action.ERASE)
    standing = await _standing(session, patient_id)
    if standing is None:
        await clinic.gate.absent(me, Action.ERASE, ResourceType.PATIENT, patient_id)
    await clinic.gate.write(session, me, Action.ERASE, patient, reason="read")
    return _shown(standing)


async def place_hold(
    session: Executor, clinic: Clinic, me: Me, patient_id: UUID, reference: str
) -> Mapping[str, Any]:
    """Forbid erasure until the hold is lifted; Conflict(`hold-stands`) when one does."""
    patient = await _patient_for(session, clinic, me, patient_id, Action.HOLD)
    if await _held(session, patient_id):
        raise Conflict("a legal hold stands already", code="hold-stands")
    await clinic.gate.write(session, me, Action.HOLD, patient, reason="placed")
    row = LegalHold(patient_id=patient_id, reference=reference, placed_by=me.subject.id)
    await add(session, row)
    return {"patient_id": patient_id, "reference": reference, "placed_at": row.placed_at}


async def lift_hold(session: Executor, clinic: Clinic, me: Me, patient_id: UUID) -> None:
    """Lift the hold; NotFound when none stands."""
    patient = await _patient_for(session, clinic, me, patient_id, Action.HOLD)
    await clinic.gate.write(session, me, Action.HOLD, patient, reason="lifted")
    standing = update(_hold).where(*_standing_holds(patient_id))
    changed = standing.values(lifted_at=now(), lifted_by=me.subject.id).returning(_hold.c.id)
    if not (await session.execute(changed)).first():
        raise NotFound("no legal hold stands")


async def _patient_for(
    session: Executor, clinic: Clinic, me: Me, patient_id: UUID, action: Action
) -> Resource:
    """Lock a person, under all their ids, for an act on all of them; whoever may not do it learns nothing.

    What comes of it is for the caller to note: the trail tells a request from an erasure by its reason.
    """
    if not await _locked(session, patient_id):
        await clinic.gate.absent(me, action, ResourceType.PATIENT, patient_id)
    resource = Resource(ResourceType.PATIENT, id=patient_id, patient_id=patient_id)
    await clinic.gate.require(me, action, resource)
    return resource


async def _locked(session: Executor, patient_id: UUID) -> bool:
    """Lock every row of a person; tell whether there is such a patient."""
    there = select(_patient.c.id).where(_patient.c.id == patient_id)
    theirs = select(_patient.c.id).where(_patient.c.person_id == person_of(patient_id))
    locking = theirs.order_by(_patient.c.id).with_for_update()
    while (await session.execute(there)).first():
        if patient_id in (await session.execute(locking)).scalars().all():
            return True
        # Who was joined, or parted, while they were waited for is another person by now: look again.
    return False


async def _destroy(session: Executor, me: Me, standing: Mapping[str, Any]) -> None:
    patient_id, moment = standing["patient_id"], now()
    gone = {"state": KeyState.DESTROYED, "wrapped": None, "destroyed_at": moment}
    ids = ids_of(patient_id)
    theirs = update(_key).where(_key.c.patient_id.in_(ids), _key.c.state != KeyState.DESTROYED)
    keys = await rewrite(session, theirs.values(**gone))
    # What a search finds a patient by outlives the key, since another key made it.
    await rewrite(session, delete(_number).where(_number.c.patient_id.in_(ids)))
    await session.execute(delete(_token).where(_token.c.patient_id.in_(ids)))
    await rewrite(session, update(_patient).where(_patient.c.id.in_(ids)).values(active=False))
    theirs = update(_account).where(_account.c.patient_id.in_(ids))
    await session.execute(theirs.values(active=False))
    done = {"approved_by": me.subject.id, "erased_at": moment, "keys_destroyed": len(keys)}
    await session.execute(update(_erasure).where(_erasure.c.id == standing["id"]).values(**done))


async def _held(session: Executor, patient_id: UUID) -> bool:
    held = select(_hold.c.id).where(*_standing_holds(patient_id))
    return (await session.execute(held)).first() is not None


def _standing_holds(patient_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return _hold.c.patient_id.in_(ids_of(patient_id)), _hold.c.lifted_at.is_(None)


async def _standing(session: Executor, patient_id: UUID) -> Mapping[str, Any] | None:
    """Return a person's erasure, or the request for one."""
    theirs = select(_erasure).where(_erasure.c.patient_id.in_(ids_of(patient_id)))
    found = await session.execute(theirs.order_by(_erasure.c.erased_at, _erasure.c.id))
    row: Mapping[str, Any] | None = found.mappings().first()
    return row


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    erased: datetime | None = row["erased_at"]
    return {
        **row,
        "state": ERASED if erased else REQUESTED,
        "shred_effective_at": erased + BACKUPS if erased else None,
    }
