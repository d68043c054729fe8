"""The care team: who treats a patient. To be in it opens the chart, so every change is decided and noted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, or_, select, update

from core.clock import now
from core.errors import FieldError, Invalid, NotFound
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.models import CareTeam
from records.access.relations import ids_of
from records.base import Executor, rewrite, table_of
from records.care.standing import allow, allow_reading, keep
from records.clinic import Clinic

_team = table_of(CareTeam)
_current: Final = or_(_team.c.valid_until.is_(None), _team.c.valid_until > func.now())


async def join(
    session: Executor,
    clinic: Clinic,
    me: Me,
    patient_id: UUID,
    *,
    doctor_id: UUID | None = None,
    account_id: UUID | None = None,
    until: datetime | None = None,
) -> CareTeam:
    """Name a doctor, or an account, as one who treats a patient from now on, or until a time."""
    if until and until <= now():
        raise Invalid(errors=[FieldError("/valid_until", "past", "this time has passed")])
    row = CareTeam(
        patient_id=patient_id, doctor_id=doctor_id, account_id=account_id, valid_until=until
    )
    await allow(session, clinic, me, Action.CREATE, ResourceType.CARE_TEAM, patient_id, row.id)
    await keep(session, row)
    return row


async def list_team(clinic: Clinic, me: Me, patient_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return who treats a patient now or will, in the order they joined."""
    await allow_reading(clinic, me, ResourceType.CARE_TEAM, patient_id)
    mine = select(*_team.c).where(_team.c.patient_id.in_(ids_of(patient_id)), _current)
    return await clinic.database.select(mine.order_by(_team.c.id))


async def leave(
    session: Executor, clinic: Clinic, me: Me, patient_id: UUID, member_id: UUID
) -> None:
    """End a membership. The row stays, and says until when."""
    await allow(session, clinic, me, Action.UPDATE, ResourceType.CARE_TEAM, patient_id, member_id)
    of = _team.c.id == member_id, _team.c.patient_id.in_(ids_of(patient_id)), _current
    ending = update(_team).where(*of).values(valid_until=func.now())
    if not await rewrite(session, ending):
        raise NotFound("there is no such member")
