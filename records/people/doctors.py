"""Doctors: public profiles. Nothing here is PHI, and nothing here is sealed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import (
    ColumnElement,
    Select,
    cast,
    column,
    exists,
    func,
    literal,
    or_,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import ARRAY

from core.errors import Conflict, NotFound
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.listing import cut
from records.access.me import Me
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.meanings import meaning
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


# These tables belong to a layer above this one; a profile needs these columns and no more.
_practice = table(
    "doctor_location", column("doctor_id", PGUUID()), column("location_id", PGUUID())
).c
_place = table("location", column("id", PGUUID()), column("site_id", PGUUID())).c
_locations: Final = (
    select(func.coalesce(func.array_agg(_practice.location_id), cast([], ARRAY(PGUUID()))))
    .where(_practice.doctor_id == _doctor.id)
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
    with meaning(Conflict("another doctor has this NPI", code="npi-taken"), "uq-doctor-npi"):
        await add(session, profile)
    await add(session, *specialties)
    return profile.id


def specialised(specialty: ColumnElement[str]) -> ColumnElement[bool]:
    """Return whether the doctor of a row has a specialty, named by its code or its display, whatever the case."""
    named = (
        func.lower(each) == func.lower(specialty) for each in (_specialty.code, _specialty.display)
    )
    return exists().where(_specialty.doctor_id == _doctor.id, or_(*named))


async def doctor_in(session: Executor, doctor_id: UUID) -> Mapping[str, Any]:
    """Return a doctor's profile as a transaction sees it."""
    found = await session.execute(_select().where(_doctor.id == doctor_id))
    profile: Mapping[str, Any] = found.mappings().one()
    return profile


async def read_doctor(clinic: Clinic, me: Me, doctor_id: UUID) -> Mapping[str, Any]:
    """Return one doctor's profile, or raise NotFound."""
    await clinic.gate.require(me, Action.READ, Resource(ResourceType.DOCTOR, id=doctor_id))
    rows = await clinic.database.select(_select().where(_doctor.id == doctor_id))
    if not rows:
        raise NotFound("there is no such doctor")
    return rows[0]


@dataclass(frozen=True, slots=True)
class Search:
    """Whom to list: by specialty (code or display), place (a site with its rooms), language, parts of the name, NPI.

    A language is found with its regions: `es` finds `es-mx`.
    """

    specialty: str | None = None
    location: UUID | None = None
    language: str | None = None
    name: str | None = None
    npi: str | None = None


async def list_doctors(
    clinic: Clinic, me: Me, search: Search, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return the active doctors who answer to all of a search."""
    await clinic.gate.require(me, Action.SEARCH, Resource(ResourceType.DOCTOR))
    statement = _select().where(_doctor.active).order_by(_doctor.id).limit(limit + 1)
    if after:
        statement = statement.where(_doctor.id > after)
    statement = statement.where(*_answering(search))
    rows = await clinic.database.select(statement)
    return cut(rows, limit, "id")


def _answering(search: Search) -> Iterator[ColumnElement[bool]]:
    if search.specialty:
        yield specialised(literal(search.specialty))
    if search.language:
        spoken = func.unnest(_doctor.languages).column_valued("spoken")
        yield exists(select(spoken)).where(
            or_(
                spoken == search.language.lower(),
                spoken.startswith(f"{search.language.lower()}-", autoescape=True),
            )
        )
    full = func.concat_ws(" ", _doctor.given, _doctor.family)
    yield from (full.icontains(part, autoescape=True) for part in (search.name or "").split())
    if search.npi:
        yield _doctor.npi == search.npi
    if search.location:
        inside = select(_place.id).where(
            or_(_place.id == search.location, _place.site_id == search.location)
        )
        yield exists().where(_practice.doctor_id == _doctor.id, _practice.location_id.in_(inside))


def _select() -> Select[Any]:
    return select(*_doctor, _specialties.label("specialties"), _locations.label("location_ids"))
