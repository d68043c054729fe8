"""Doctors: public profiles. Nothing here is PHI, and nothing here is sealed."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, exists, func, or_, select

from core.errors import Conflict, NotFound
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.people.models import Doctor, DoctorSpecialty

_doctor, _specialty = table_of(Doctor).c, table_of(DoctorSpecialty).c
_specialties: Final = (
    select(
        func.coalesce(
            func.json_agg(
                func.json_build_object(
                    "code",
                    _specialty.code,
                    "system",
                    _specialty.system,
                    "display",
                    _specialty.display,
                )
            ),
            func.json_build_array(),
        )
    )
    .where(_specialty.doctor_id == _doctor.id)
    .scalar_subquery()
)


async def add_doctor(
    session: Executor,
    clinic: Clinic,
    me: Me,
    profile: Doctor,
    specialties: Sequence[DoctorSpecialty] = (),
    *,
    action: Action = Action.CREATE,
) -> UUID:
    """Add a doctor with their specialties; raise Conflict(`npi-taken`) when the NPI is another's."""
    resource = Resource(ResourceType.DOCTOR, id=profile.id)
    await clinic.gate.write(session, me, action, resource)
    try:
        await add(session, profile)
    except Conflict:
        raise Conflict("another doctor has this NPI", code="npi-taken") from None
    await add(session, *specialties)
    return profile.id


async def read_doctor(clinic: Clinic, me: Me, doctor_id: UUID) -> Mapping[str, Any]:
    """Return one doctor's profile, or raise NotFound."""
    await clinic.gate.require(me, Action.READ, Resource(ResourceType.DOCTOR, id=doctor_id))
    rows = await clinic.database.select(_select().where(_doctor.id == doctor_id))
    if not rows:
        raise NotFound("there is no such doctor")
    return rows[0]


async def list_doctors(
    clinic: Clinic, me: Me, *, limit: int, after: UUID | None = None, specialty: str | None = None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return active doctors, by specialty code or display text if one is given."""
    await clinic.gate.require(me, Action.SEARCH, Resource(ResourceType.DOCTOR))
    statement = _select().where(_doctor.active).order_by(_doctor.id).limit(limit + 1)
    if after:
        statement = statement.where(_doctor.id > after)
    if specialty:
        named = or_(
            _specialty.code == specialty, func.lower(_specialty.display) == specialty.lower()
        )
        statement = statement.where(exists().where(_specialty.doctor_id == _doctor.id, named))
    rows = await clinic.database.select(statement)
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None


def _select() -> Select[Any]:
    return select(*_doctor, _specialties.label("specialties"))
