"""Changing a doctor: the profile, where they practise, and whether they still do.

A doctor stops only when no visit lies ahead, or when those that do may go to the work list: it is no list that is kept,
but the question which visits ahead are with doctors who are not there any more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, text, true
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import SQLModel

from core.clock import now
from core.database_errors import translated
from core.errors import Conflict, PreconditionFailed
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.base import Executor, add, revise, table_of
from records.clinic import Clinic
from records.meanings import fitting, meaning
from records.people.doctors import doctor_in
from records.people.models import Doctor, DoctorSpecialty
from records.scheduling.models import BLOCKING, Appointment
from records.scheduling.supply import DoctorLocation, DoctorService

_doctor, _visit = table_of(Doctor).c, table_of(Appointment).c
_BLOCKING: Final[Any] = text(BLOCKING)


@dataclass(frozen=True, slots=True)
class Change:
    """What is to change: plain fields, and lists that are replaced as a whole (None: they stay)."""

    fields: Mapping[str, Any]
    specialties: Sequence[DoctorSpecialty] | None = None
    location_ids: Sequence[UUID] | None = None
    to_worklist: bool = False


async def change_doctor(
    session: Executor, clinic: Clinic, me: Me, doctor_id: UUID, version: int | None, change: Change
) -> Mapping[str, Any]:
    """Change a doctor and return the whole profile; raise Conflict(`future-appointments`) for one who may not stop yet."""
    resource = Resource(ResourceType.DOCTOR, id=doctor_id, doctor_id=doctor_id)
    await clinic.gate.write(session, me, Action.UPDATE, resource)
    with meaning(Conflict("another doctor has this NPI", code="npi-taken"), "uq-doctor-npi"):
        await revise(session, Doctor, doctor_id, version, **change.fields)
    if change.fields.get("active") is False and not change.to_worklist:
        await _refuse_leaving(session, doctor_id)
    if change.specialties is not None:
        await _replace(session, DoctorSpecialty, doctor_id, change.specialties)
    if change.location_ids is not None:
        await practise(session, doctor_id, change.location_ids)
    return await doctor_in(session, doctor_id)


async def practise(session: Executor, doctor_id: UUID, location_ids: Sequence[UUID]) -> None:
    """Say where a doctor practises, and nowhere else; raise Invalid for a place that is not there."""
    rows = [DoctorLocation(doctor_id=doctor_id, location_id=i) for i in dict.fromkeys(location_ids)]
    with fitting(DoctorLocation):
        await _replace(session, DoctorLocation, doctor_id, rows)


async def _replace(
    session: Executor, kind: type[SQLModel], doctor_id: UUID, rows: Sequence[SQLModel]
) -> None:
    table = table_of(kind)
    await session.execute(delete(table).where(table.c.doctor_id == doctor_id))
    await add(session, *rows)


async def _refuse_leaving(session: Executor, doctor_id: UUID) -> None:
    """Look for visits ahead, after those being booked now: the lock on the doctor makes them finish first."""
    await session.execute(select(_doctor.id).where(_doctor.id == doctor_id).with_for_update())
    ahead = select(func.count()).where(
        _visit.doctor_id == doctor_id, _visit.starts_at > now(), _BLOCKING
    )
    count = (await session.execute(ahead)).scalar_one()
    if count:
        raise Conflict(
            "visits lie ahead: move or cancel them, or send them to the work list",
            code="future-appointments",
            appointments=count,
        )


async def change_terms(
    session: Executor,
    clinic: Clinic,
    me: Me,
    doctor_id: UUID,
    service_id: UUID,
    version: int | None,
    values: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Say what a doctor does otherwise than a service, and return all of it. None is: as the service has it."""
    resource = Resource(ResourceType.SCHEDULE, id=service_id, doctor_id=doctor_id)
    await clinic.gate.write(session, me, Action.UPDATE, resource)
    own = table_of(DoctorService)
    row = DoctorService(doctor_id=doctor_id, service_id=service_id, **values)
    change = insert(own).values({name: getattr(row, name) for name in own.columns.keys()})  # noqa: SIM118
    change = change.on_conflict_do_update(
        index_elements=["doctor_id", "service_id"],
        set_={**values, "version": own.c.version + 1},
        where=true() if version is None else own.c.version == version,
    )
    with fitting(DoctorService), translated():
        changed = (await session.execute(change.returning(own))).mappings().first()
    if changed is None or (version is not None and changed["version"] == 1):  # new, not changed
        raise PreconditionFailed("it has changed since you read it")
    found: Mapping[str, Any] = changed
    return found


async def list_terms(clinic: Clinic, me: Me, doctor_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return what a doctor does otherwise than the services say."""
    await clinic.gate.require(me, Action.SEARCH, Resource(ResourceType.SERVICE))
    own = table_of(DoctorService)
    return await clinic.database.select(
        select(own).where(own.c.doctor_id == doctor_id).order_by(own.c.service_id)
    )
