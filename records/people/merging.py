"""Two files of one person: joined by a link, read as one from then on, and parted again without loss.

Nothing is moved and nothing is sealed anew: every cell stays under the key of the id it was written for. The link says
that the ids are one person's; what is read of either is read of both, and the older id resolves to the surviving one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from core.errors import Conflict, FieldError, Invalid
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.models import SamePerson
from records.access.relations import asking
from records.base import Executor, add, rewrite, table_of
from records.clinic import Clinic
from records.identity.callers import forget
from records.identity.models import Account
from records.meanings import meaning
from records.people.duplicates import are_distinct
from records.people.models import Patient, PatientMerge
from records.people.reading import FACTS, patient_in_sight, resource_of
from records.vault.models import KeyState, PatientKey

_patient, _merge = table_of(Patient).c, table_of(PatientMerge).c
_same, _account = table_of(SamePerson).c, table_of(Account).c
_key = table_of(PatientKey).c
_APART: Final = "this patient is not joined to another"


async def merge(
    session: AsyncSession, clinic: Clinic, me: Me, patient_id: UUID, into: UUID
) -> PatientMerge:
    """Join a patient to another, who survives; return what was done.

    Raises NotFound and Forbidden for either, Invalid for a patient and themselves, Conflict(`patient-merged`) for one
    who is joined already, Conflict(`already-erased`) for one of whom nothing is left to be joined, or to be found by,
    Conflict(`patients-distinct`) for two whom somebody said to be two, Conflict(`visits-overlap`) for two who have visits
    at one time.
    """
    if patient_id == into:
        raise Invalid(errors=[FieldError("/into", "itself", "nobody is joined to themselves")])
    rows = await _both(session, clinic, me, patient_id, into)
    gone, kept = rows[patient_id], rows[into]
    if gone["replaced_by"] or kept["replaced_by"]:
        raise Conflict("one of them is joined to another already", code="patient-merged")
    if await _erased(session, patient_id, into):
        raise Conflict("one of them was erased", code="already-erased")
    if await are_distinct(session, patient_id, into):
        raise Conflict("these two were found to be two people", code="patients-distinct")
    for row in (gone, kept):
        await clinic.gate.write(session, me, Action.MERGE, resource_of(row))
    done = PatientMerge(
        from_id=patient_id,
        into_id=into,
        accounts=await _accounts(session, patient_id),
        merged_by=me.subject.id,
    )
    await add(session, done)
    overlap = "both have visits at one time: move or cancel one of each pair first"
    with meaning(Conflict(overlap, code="visits-overlap"), "patient-taken"):
        await _resolve(session, patient_id, into)
    await _follow(session, done.accounts, into)
    return done


async def unmerge(session: AsyncSession, clinic: Clinic, me: Me, patient_id: UUID) -> PatientMerge:
    """Part a patient from the one they were joined to: both are again what they were; return what was undone.

    Raises Conflict(`not-merged`) for one who is not joined to another, or whom somebody else was quicker to part.
    """
    found = await session.execute(_open_merge(patient_id))
    row = found.mappings().first()
    rows = await _both(session, clinic, me, patient_id, row["into_id"] if row else patient_id)
    if row is None:
        await clinic.gate.require(me, Action.READ, resource_of(rows[patient_id]))
        raise Conflict(_APART, code="not-merged")
    for each in rows.values():
        await clinic.gate.write(session, me, Action.MERGE, resource_of(each))
    undone = {"undone_by": me.subject.id, "undone_at": now()}
    its = _merge.id == row["id"], _merge.undone_at.is_(None)
    parting = update(PatientMerge).where(*its).values(**undone).returning(_merge.id)
    if (await session.execute(parting)).first() is None:
        raise Conflict(_APART, code="not-merged")
    await _resolve(session, patient_id, None)
    await _follow(session, row["accounts"], patient_id)
    return PatientMerge(**{**row, **undone})


async def list_merges(clinic: Clinic, me: Me, patient_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return how a patient was joined and parted, newest first."""
    await clinic.gate.read(me, Action.READ, await patient_in_sight(clinic, me, patient_id))
    either = (_merge.from_id == patient_id) | (_merge.into_id == patient_id)
    return await clinic.database.select(select(*_merge).where(either).order_by(_merge.id.desc()))


async def _both(
    session: Executor, clinic: Clinic, me: Me, *ids: UUID
) -> Mapping[UUID, Mapping[str, Any]]:
    """Return the patients, locked in the order of their ids; NotFound unless the caller may see each."""
    statement = (
        select(_patient.id.label("resource_id"), _patient.replaced_by, *FACTS)
        .where(_patient.id.in_(ids))
        .order_by(_patient.id)
        .with_for_update(of=table_of(Patient))
    )
    found = await session.execute(statement, asking(me))
    rows = {row["resource_id"]: row for row in found.mappings().all()}
    for patient_id in ids:
        if patient_id not in rows:
            await clinic.gate.absent(me, Action.MERGE, ResourceType.PATIENT, patient_id)
        await clinic.gate.require(me, Action.READ, resource_of(rows[patient_id]))
    return rows


async def _erased(session: Executor, *ids: UUID) -> bool:
    """Tell whether one of these patients was erased."""
    gone = select(_key.key_id).where(_key.patient_id.in_(ids), _key.state == KeyState.DESTROYED)
    return (await session.execute(gone)).first() is not None


def _open_merge(patient_id: UUID) -> Any:
    return select(*_merge).where(_merge.from_id == patient_id, _merge.undone_at.is_(None))


async def _accounts(session: Executor, patient_id: UUID) -> list[UUID]:
    found = await session.execute(select(_account.id).where(_account.patient_id == patient_id))
    return list(found.scalars().all())


async def _follow(session: AsyncSession, accounts: Sequence[UUID], patient_id: UUID) -> None:
    """Let a patient's own logins see the file that now is theirs."""
    mine = update(Account).where(_account.id.in_(accounts)).values(patient_id=patient_id)
    await session.execute(mine)
    forget(session)


async def _resolve(session: Executor, patient_id: UUID, into: UUID | None) -> None:
    """Let a patient, and whoever was joined to them before, resolve to `into`, or to the patient again."""
    group = [patient_id, *await _joined(session, patient_id)]
    resolved = func.nullif(into or patient_id, _patient.id)
    await rewrite(
        session, update(Patient).where(_patient.id.in_(group)).values(replaced_by=resolved)
    )
    survivors = [into, *await _joined(session, into)] if into else await _others(session, group)
    if into:
        await _link(session, group, [s for s in survivors if s not in group])
    else:
        await _part(session, group, survivors)


async def _joined(session: Executor, patient_id: UUID) -> list[UUID]:
    """Return whoever was joined to a patient, directly or by others, and was not parted since."""
    tree = (
        select(_merge.from_id)
        .where(_merge.into_id == patient_id, _merge.undone_at.is_(None))
        .cte("tree", recursive=True)
    )
    deeper = select(_merge.from_id).where(
        _merge.into_id == tree.c.from_id, _merge.undone_at.is_(None)
    )
    found = await session.execute(select(tree.union(deeper).c.from_id))
    return list(found.scalars().all())


async def _others(session: Executor, group: Sequence[UUID]) -> list[UUID]:
    found = await session.execute(
        select(_same.other_id).where(_same.patient_id == group[0], _same.other_id.not_in(group))
    )
    return list(found.scalars().all())


async def _link(session: Executor, some: Sequence[UUID], others: Sequence[UUID]) -> None:
    pairs = [(a, b) for one in some for other in others for a, b in ((one, other), (other, one))]
    await add(session, *(SamePerson(patient_id=a, other_id=b) for a, b in pairs))


async def _part(session: Executor, some: Sequence[UUID], others: Sequence[UUID]) -> None:
    for one, other in ((some, others), (others, some)):
        await session.execute(
            delete(SamePerson).where(_same.patient_id.in_(one), _same.other_id.in_(other))
        )
