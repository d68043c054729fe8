"""Relations between the caller and a patient, each written once as SQL.

The same expression is a column of the SELECT that reads one row (a fact for Casbin) and a term of the WHERE that
filters a list. The caller's ids are bound by `asking(me)`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import DateTime, Text, all_, bindparam, column, exists, func, or_, table
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.sql.elements import ColumnElement

from records.access.me import Me
from records.access.models import CareTeam
from records.base import table_of

WINDOW: Final = timedelta(days=90)
"""How far before and after an appointment its doctor treats the patient."""

ACCOUNT: Final[ColumnElement[UUID]] = bindparam("me_account", type_=PGUUID())
DOCTOR: Final[ColumnElement[UUID]] = bindparam("me_doctor", type_=PGUUID())

_UNREAL: Final = ("proposed", "pending", "waitlist", "cancelled", "entered-in-error")
_care_team = table_of(CareTeam)
# The table belongs to a layer above this one; a relation needs four of its columns and no more.
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


def in_care_team(patient: Any) -> ColumnElement[bool]:
    """The caller is named in the patient's care team today."""
    member = _care_team.c
    return exists().where(
        member.patient_id == patient,
        or_(member.doctor_id == DOCTOR, member.account_id == ACCOUNT),
        member.valid_from <= func.now(),
        or_(member.valid_until.is_(None), member.valid_until > func.now()),
    )


def own_appointment(patient: Any) -> ColumnElement[bool]:
    """The caller has, or lately had, a real appointment with the patient."""
    visit = _appointment.c
    return exists().where(
        visit.patient_id == patient,
        visit.doctor_id == DOCTOR,
        visit.status != all_(array(_UNREAL)),
        visit.starts_at.between(func.now() - WINDOW, func.now() + WINDOW),
    )
