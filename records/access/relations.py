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
from sqlalchemy import DateTime, Text, all_, bindparam, column, exists, func, or_, select, table
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.sql import Select
from sqlalchemy.sql.elements import ColumnElement

from records.access.me import Me
from records.access.models import CareTeam, SamePerson
from records.base import table_of

WINDOW: Final = timedelta(days=90)
"""How far before and after an appointment its doctor treats the patient."""

ACCOUNT: Final[ColumnElement[UUID]] = bindparam("me_account", type_=PGUUID())
DOCTOR: Final[ColumnElement[UUID]] = bindparam("me_doctor", type_=PGUUID())

_UNREAL: Final = ("proposed", "pending", "waitlist", "cancelled", "entered-in-error")
_care_team = table_of(CareTeam)
_same = table_of(SamePerson).c
# Tables of layers above this one; a relation needs these columns and no more.
_patient = table("patient", column("id", PGUUID()), column("replaced_by", PGUUID()))
_appointment = table(
    "appointment",
    column("patient_id", PGUUID()),
    column("doctor_id", PGUUID()),
    column("status", Text()),
    column("starts_at", DateTime(timezone=True)),
)


def asking(me: Me) -> Mapping[str, Any]:
    """Return the parameters that every statement with a relation in it takes."""
    return {"me_account": me.subject.id, "me_doctor": me.subject.doctor_id}


def person_of(patient: Any) -> ColumnElement[UUID]:
    """The id that a patient resolves to: the survivor of those joined, or the patient's own."""
    one = _patient.alias("one")
    survivor = func.coalesce(one.c.replaced_by, one.c.id)
    return select(survivor).where(one.c.id == patient).scalar_subquery()


def ids_of(patient: Any) -> Select[tuple[UUID]]:
    """Every id of the person whom a patient is, for an IN."""
    return select(_same.other_id).where(_same.patient_id == patient)


def in_care_team(patient: Any) -> ColumnElement[bool]:
    """The caller is named in the patient's care team today."""
    member = _care_team.c
    return exists().where(
        _same.patient_id == patient,
        member.patient_id == _same.other_id,
        or_(member.doctor_id == DOCTOR, member.account_id == ACCOUNT),
        member.valid_from <= func.now(),
        or_(member.valid_until.is_(None), member.valid_until > func.now()),
    )


def own_appointment(patient: Any) -> ColumnElement[bool]:
    """The caller has, or lately had, a real appointment with the patient."""
    visit = _appointment.c
    return exists().where(
        _same.patient_id == patient,
        visit.patient_id == _same.other_id,
        visit.doctor_id == DOCTOR,
        visit.status != all_(array(_UNREAL)),
        visit.starts_at.between(func.now() - WINDOW, func.now() + WINDOW),
    )
