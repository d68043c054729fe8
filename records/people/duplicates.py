"""Who may be registered twice: found by what is indexed, weighed by what is sealed; what people have ruled out stays out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from core.crypto.blind_index import normal_code, normal_text
from core.errors import FieldError, Invalid
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import ids_of, person_of
from records.base import Executor, table_of
from records.clinic import Clinic
from records.people.contact import emails_of, given_names, names_of, phones_of, sound
from records.people.finding import FAMILY
from records.people.models import DistinctPatients, Patient, PatientToken
from records.people.reading import (
    OpenPatient,
    disclosed,
    everybody,
    patient_in_sight,
    resource_of,
    visible,
)

CANDIDATES: Final = 256
"""Patients compared at most, those with the most tokens in common first."""

_patient, _token = table_of(Patient).c, table_of(PatientToken).c
_distinct = table_of(DistinctPatients).c


class Likeness(StrEnum):
    """How likely two files are one person's. Whatever it is, a human decides."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A patient who may be the same person, and what speaks for it."""

    patient: OpenPatient
    likeness: Likeness
    evidence: Sequence[str]


async def find_duplicates(clinic: Clinic, me: Me, patient_id: UUID) -> Sequence[Duplicate]:
    """Return who may be the same person as a patient, the likeliest first, among those the caller may see."""
    whose = await patient_in_sight(clinic, me, patient_id)
    await clinic.gate.require(me, Action.MERGE, whose)
    assert whose.id is not None
    rows = await visible(clinic, me, _suspects(whose.id), CANDIDATES)
    mine = await visible(clinic, me, everybody().where(_patient.id == whose.id))
    opened = await _opened(clinic, me, [*mine, *rows])
    weighed = {
        row["resource_id"]: weigh(opened[whose.id], opened[row["resource_id"]])
        for row in rows
        if row["resource_id"] in opened
    }
    alike = [row for row in rows if weighed.get(row["resource_id"])]
    shown = await disclosed(clinic, me, alike) if alike else []
    found = [Duplicate(p, *likely) for p in shown if (likely := weighed[p.id])]
    return sorted(found, key=lambda d: (list(Likeness).index(d.likeness), -len(d.evidence)))


def weigh(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> tuple[Likeness, Sequence[str]] | None:
    """Compare two opened patients: how likely they are one person, and what they have in common; None for two people."""
    common = [name for name, same in _compared(one, other) if same]
    likeness = _likeness(frozenset(common))
    return (likeness, common) if likeness else None


def _likeness(common: frozenset[str]) -> Likeness | None:
    contact = bool(common & {"phone", "email", "address"})
    family = bool(common & {"family", "sound"})
    if {"family", "given", "birth_date"} <= common and contact:
        return Likeness.CERTAIN
    if family and "given" in common and ("birth_date" in common or contact):
        return Likeness.PROBABLE
    if family and (
        "birth_date" in common or ("birth_year" in common and ("initial" in common or contact))
    ):
        return Likeness.POSSIBLE
    if {"given", "birth_date"} <= common and contact:
        return Likeness.POSSIBLE
    return None


async def set_distinct(
    session: AsyncSession, clinic: Clinic, me: Me, patient_id: UUID, other_id: UUID, *, yes: bool
) -> None:
    """Remember that two patients are two people, or forget it."""
    ids: list[UUID] = []
    for each in (patient_id, other_id):
        whose = await patient_in_sight(clinic, me, each)
        await clinic.gate.write(session, me, Action.MERGE, whose)
        assert whose.patient_id is not None
        ids.append(whose.patient_id)
    low, high = sorted(ids)
    if low == high:
        raise Invalid(errors=[FieldError("/patient_id", "itself", "this is the same person")])
    if yes:
        said = {"decided_by": me.subject.id, "decided_at": now()}
        pair = insert(DistinctPatients).values(patient_id=low, other_id=high, **said)
        await session.execute(pair.on_conflict_do_nothing())
    else:
        await session.execute(delete(DistinctPatients).where(_said(low, high)))


async def are_distinct(session: Executor, one: UUID, other: UUID) -> bool:
    """Tell whether somebody has said that two patients are two people."""
    pair = select(_distinct.patient_id).where(_said(one, other))
    return (await session.execute(pair)).first() is not None


def _said(one: UUID, other: UUID) -> ColumnElement[bool]:
    """Return the WHERE of what was said of two people, under whichever of their ids."""
    return or_(
        *(
            and_(_distinct.patient_id.in_(ids_of(low)), _distinct.other_id.in_(ids_of(high)))
            for low, high in ((one, other), (other, one))
        )
    )


def _suspects(patient_id: UUID) -> Select[Any]:
    """Select the patients with tokens in common, but for those known to be the same or another person."""
    mine = select(_token.index, _token.key_version, _token.token).where(
        _token.patient_id == patient_id
    )
    alike = (
        select(_token.patient_id, func.count().label("tokens"))
        .where(tuple_(_token.index, _token.key_version, _token.token).in_(mine))
        .where(_token.index != FAMILY.name)
        .group_by(_token.patient_id)
        .subquery()
    )
    known = ids_of(patient_id).union(
        select(person_of(_distinct.other_id)).where(_distinct.patient_id.in_(ids_of(patient_id))),
        select(person_of(_distinct.patient_id)).where(_distinct.other_id.in_(ids_of(patient_id))),
    )
    return (
        everybody()
        .join(alike, alike.c.patient_id == _patient.id)
        .where(_patient.replaced_by.is_(None), _patient.id.not_in(known))
        .order_by(alike.c.tokens.desc(), _patient.id.desc())
    )


async def _opened(
    clinic: Clinic, me: Me, rows: Sequence[Mapping[str, Any]]
) -> Mapping[UUID, Mapping[str, Any]]:
    found = [resource_of(row) for row in rows]
    permits = await clinic.gate.screen(me, ResourceType.PATIENT, found, "duplicates")
    return {
        row["resource_id"]: await clinic.reveal(me, permits[row["resource_id"]], Patient, row)
        for row in rows
        if row["resource_id"] in permits
    }


def _compared(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    yield "family", _meet(_each(one, "family", normal_text), _each(other, "family", normal_text))
    yield "sound", _meet(_each(one, "family", sound), _each(other, "family", sound))
    first, second = given_names(one["name"]), given_names(other["name"])
    yield "given", first[:1] == second[:1] != []
    yield "initial", [n[0] for n in first[:1]] == [n[0] for n in second[:1]] != []
    yield "birth_date", one["birth_date"] == other["birth_date"]
    yield "birth_year", one["birth_date"].year == other["birth_date"].year
    yield "sex", one["sex"] == other["sex"]
    yield "phone", _meet(set(phones_of(one)), set(phones_of(other)))
    yield "email", _meet(set(emails_of(one)), set(emails_of(other)))
    yield "address", _meet(_place(one), _place(other))


def _each(values: Mapping[str, Any], part: str, form: Any) -> set[str]:
    return {form(name[part]) for name in names_of(values)}


def _place(values: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return where a patient lives: the first line with the postal code, or with the city."""
    home = values.get("address") or {}
    area = home.get("postal_code") or home.get("city")
    return {(normal_text(line), normal_code(area)) for line in home.get("line", [])[:1] if area}


def _meet(some: set[Any], others: set[Any]) -> bool:
    return not some.isdisjoint(others)
