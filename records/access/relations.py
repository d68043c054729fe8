"""Relations between the caller and a patient, each written once as SQL.

The same expression is a column of the SELECT that reads one row (a fact for Casbin) and a term of the WHERE that
filters a list. The caller's ids are bound by `asking(me)`. A person may have several ids: what holds for one of them
holds for all (`SamePerson`).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import (
    DateTime,
    Interval,
    Text,
    all_,
    and_,
    any_,
    bindparam,
    column,
    exists,
    func,
    not_,
    or_,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import ARRAY, array
from sqlalchemy.sql import Select
from sqlalchemy.sql.elements import ColumnElement

from core.settings import settings
from records.access.me import Me
from records.access.models import BreakGlass, CareTeam, Consent, Decision, Proxy, SamePerson
from records.base import table_of

WINDOW: Final[ColumnElement[timedelta]] = bindparam("me_window", type_=Interval())
"""How far before and after an appointment its doctor treats the patient (`CONFIDE_TREATMENT_DAYS`)."""

ACCOUNT: Final[ColumnElement[UUID]] = bindparam("me_account", type_=PGUUID())
DOCTOR: Final[ColumnElement[UUID]] = bindparam("me_doctor", type_=PGUUID())

RELATIONS: Final = (
    "in_care_team",
    "own_appointment",
    "consent_granted",
    "break_glass",
    "proxied",
)
"""The names of the facts that `relations` gives."""

ROLES: Final[ColumnElement[Any]] = bindparam("me_roles", type_=ARRAY(Text))
PURPOSE: Final[ColumnElement[str]] = bindparam("me_purpose", type_=Text())

UNREAL: Final = ("proposed", "pending", "waitlist", "cancelled", "entered-in-error")
"""Statuses of an appointment that makes nobody treat the patient."""
# Each under a name of its own: a table of the same name in the statement around would hide, or be hidden.
_member, _consent, _proxy, _grant, _same = (
    table_of(kind).alias(f"r_{table_of(kind).name}").c
    for kind in (CareTeam, Consent, Proxy, BreakGlass, SamePerson)
)
# Tables of layers above this one; a relation needs these columns and no more.
_patient = table(
    "patient",
    column("id", PGUUID()),
    column("person_id", PGUUID()),
    column("preferred_doctor_id", PGUUID()),
)
_doctor = table("doctor", column("id", PGUUID()), column("department", Text())).alias("r_doctor")
_appointment = table(
    "appointment",
    column("patient_id", PGUUID()),
    column("doctor_id", PGUUID()),
    column("status", Text()),
    column("starts_at", DateTime(timezone=True)),
).alias("r_appointment")


def asking(me: Me) -> Mapping[str, Any]:
    """Return the parameters that every statement with a relation in it takes."""
    subject = me.subject
    return {
        "me_account": subject.id,
        "me_doctor": subject.doctor_id,
        "me_roles": sorted(subject.roles),
        "me_purpose": me.environment.purpose,
        "me_window": timedelta(days=settings().treatment_days),
    }


def relations(patient: Any) -> dict[str, ColumnElement[bool]]:
    """Return every relation of the caller to a patient, by the name of the fact."""
    return {
        "in_care_team": in_care_team(patient),
        "own_appointment": own_appointment(patient),
        "consent_granted": consent_granted(patient),
        "break_glass": broken_glass(patient),
        "proxied": proxied(patient),
    }


def related(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the relations that a row was fetched with."""
    return {name: row[name] for name in RELATIONS}


def person_of(patient: Any) -> ColumnElement[UUID]:
    """The id that a patient resolves to: the survivor of those joined, or the patient's own."""
    one = _patient.alias("one")
    return select(one.c.person_id).where(one.c.id == patient).scalar_subquery()


def ids_of(patient: Any) -> Select[tuple[UUID]]:
    """Every id of the person whom a patient is, for an IN."""
    return select(_same.other_id).where(_same.patient_id == patient)


def department_of(doctor: Any) -> ColumnElement[Any]:
    """The department of a doctor; NULL where none is concerned."""
    return select(_doctor.c.department).where(_doctor.c.id == doctor).scalar_subquery()


def department_at(patient: Any) -> ColumnElement[Any]:
    """The department of the doctor whom a person prefers, as the file says that a patient resolves to."""
    one, kept = _patient.alias("r_patient"), _patient.alias("r_kept")
    same = and_(one.c.id == patient, kept.c.id == one.c.person_id)
    concerned = and_(same, _doctor.c.id == kept.c.preferred_doctor_id)
    return select(_doctor.c.department).where(concerned).scalar_subquery()


def in_care_team(patient: Any) -> ColumnElement[bool]:
    """The caller is named in the patient's care team today."""
    return exists().where(
        _same.patient_id == patient,
        _member.patient_id == _same.other_id,
        or_(_member.doctor_id == DOCTOR, _member.account_id == ACCOUNT),
        *_current(_member),
    )


def real(status: Any) -> ColumnElement[bool]:
    """An appointment of this status makes its doctor treat the patient."""
    makes: ColumnElement[bool] = status != all_(array(UNREAL))
    return makes


def own_appointment(patient: Any) -> ColumnElement[bool]:
    """The caller has, or lately had, a real appointment with the patient."""
    visit = _appointment.c
    return exists().where(
        _same.patient_id == patient,
        visit.patient_id == _same.other_id,
        visit.doctor_id == DOCTOR,
        real(visit.status),
        visit.starts_at.between(func.now() - WINDOW, func.now() + WINDOW),
    )


def consent_denied(patient: Any, categories: Any) -> ColumnElement[bool]:
    """The patient forbids it: to the caller, to a role of theirs or to all; and does not permit it by name."""
    forbids = exists().where(
        *_directive(patient, Decision.DENY, categories), or_(_named(), _by_role())
    )
    permits = exists().where(*_directive(patient, Decision.PERMIT, categories), _named())
    return and_(forbids, not_(permits))


def consent_granted(patient: Any, categories: Any = None) -> ColumnElement[bool]:
    """The patient permits it to the caller by name."""
    return exists().where(*_directive(patient, Decision.PERMIT, categories), _named())


def broken_glass(patient: Any) -> ColumnElement[bool]:
    """The caller holds an emergency grant for the patient now."""
    return exists().where(
        _same.patient_id == patient,
        _grant.patient_id == _same.other_id,
        _grant.account_id == ACCOUNT,
        _grant.expires_at > func.now(),
    )


def proxied(patient: Any) -> ColumnElement[bool]:
    """The caller stands in for the patient: a parent, a guardian."""
    return exists().where(
        _same.patient_id == patient,
        _proxy.patient_id == _same.other_id,
        _proxy.account_id == ACCOUNT,
        *_current(_proxy),
    )


def _directive(
    patient: Any, decision: Decision, categories: Any = None
) -> list[ColumnElement[bool]]:
    """Return the terms of a consent in force, about this purpose and, where it names one, this category."""
    terms = [
        _same.patient_id == patient,
        _consent.patient_id == _same.other_id,
        _consent.decision == decision,
        _consent.revoked_at.is_(None),
        or_(_consent.purpose.is_(None), _consent.purpose == PURPOSE),
        *_current(_consent),
    ]
    if categories is not None:
        terms.append(or_(_consent.category.is_(None), _consent.category == any_(categories)))
    return terms


def _named() -> ColumnElement[bool]:
    return or_(_consent.account_id == ACCOUNT, _consent.doctor_id == DOCTOR)


def _by_role() -> ColumnElement[bool]:
    nobody = and_(_consent.account_id.is_(None), _consent.doctor_id.is_(None))
    return and_(nobody, or_(_consent.role.is_(None), _consent.role == any_(ROLES)))


def _current(of: Any) -> list[ColumnElement[bool]]:
    return [
        of.valid_from <= func.now(),
        or_(of.valid_until.is_(None), of.valid_until > func.now()),
    ]
