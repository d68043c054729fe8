"""Patients whom those who check watch: each access by staff is an alert (rule R4), until the watch is ended."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.base import table_of
from records.clinic import Clinic
from records.compliance.models import Watched, WatchReason
from records.compliance.persons import person

_watched: Final = table_of(Watched).c


async def watch(
    session: AsyncSession, clinic: Clinic, me: Me, patient_id: UUID, reason: WatchReason
) -> Mapping[str, Any]:
    """Watch a patient from now on. One who is watched already stays watched since then, for the reason given now."""
    whose = await person(clinic, me, patient_id, Action.UPDATE, ResourceType.ALERT)
    await clinic.gate.write(session, me, Action.UPDATE, _about(whose.id))
    row = Watched(patient_id=whose.id, reason=reason, set_by=me.subject.id).model_dump()
    made = insert(Watched).values(row)
    kept = made.on_conflict_do_update(
        index_elements=[_watched.patient_id], set_={"reason": made.excluded.reason}
    )
    return dict((await session.execute(kept.returning(*_watched))).mappings().one())


async def release(session: AsyncSession, clinic: Clinic, me: Me, patient_id: UUID) -> None:
    """End the watch on a patient, if there is one."""
    whose = await person(clinic, me, patient_id, Action.UPDATE, ResourceType.ALERT)
    await clinic.gate.write(session, me, Action.UPDATE, _about(whose.id))
    await session.execute(delete(Watched).where(_watched.patient_id.in_(whose.ids)))


async def list_watched(clinic: Clinic, me: Me) -> Sequence[Mapping[str, Any]]:
    """Return who is watched, the last first."""
    await clinic.gate.read(me, Action.SEARCH, Resource(ResourceType.ALERT))
    return await clinic.database.select(select(*_watched).order_by(_watched.since.desc()))


def _about(patient_id: UUID) -> Resource:
    return Resource(ResourceType.ALERT, patient_id=patient_id)
