"""Whose a patient's id is: what compliance tells is of the person, under every id that they have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import bindparam, select

from core.database import Query
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.models import SamePerson
from records.access.relations import person_of
from records.base import table_of
from records.clinic import Clinic

_same = table_of(SamePerson).c
_ID: Final = bindparam("patient_id", type_=PGUUID())
_IDS: Final = Query(
    select(_same.other_id, person_of(_ID).label("person_id")).where(_same.patient_id == _ID)
)


@dataclass(frozen=True, slots=True)
class Person:
    """A patient: the id they resolve to, and every id they have (`SamePerson`)."""

    id: UUID
    ids: Sequence[UUID]


async def person(
    clinic: Clinic, me: Me, patient_id: UUID, action: Action, kind: ResourceType
) -> Person:
    """Return who has this id; where nobody has, refuse as the gate refuses what one may not see."""
    rows = await clinic.database.all(_IDS, patient_id=patient_id)
    if not rows:
        await clinic.gate.absent(me, action, kind, patient_id)
    return Person(rows[0]["person_id"], [row["other_id"] for row in rows])
