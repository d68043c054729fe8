"""What decisions about rows of patients rest on, for anybody who might ask: facts by id, and terms of a WHERE."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Subquery, select

from core.database import Database
from policies.enforcer import PolicySnapshot
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking, department_at, relations
from records.base import table_of
from records.clinical.models import Record
from records.clinical.reading import COLUMNS as RECORDS
from records.people.models import Coverage, Patient
from records.people.reading import COLUMNS as PATIENTS
from records.scheduling.models import Appointment
from records.scheduling.reading import COLUMNS as APPOINTMENTS

_record, _visit, _coverage = table_of(Record), table_of(Appointment), table_of(Coverage)
COVERAGES: Final = {
    "id": _coverage.c.id,
    "patient_id": _coverage.c.patient_id,
    "department": department_at(_coverage.c.patient_id),
    **relations(_coverage.c.patient_id),
}
PROTECTED: Final[Mapping[ResourceType, tuple[FromClause, Mapping[str, ColumnElement[Any]]]]] = {
    ResourceType.PATIENT: (table_of(Patient), PATIENTS),
    ResourceType.COVERAGE: (_coverage, COVERAGES),
    ResourceType.APPOINTMENT: (_visit, APPOINTMENTS),
    ResourceType.RECORD: (_record.join(_visit, _visit.c.id == _record.c.appointment_id), RECORDS),
}
"""The tables whose rows the policy decides about one by one, with what a rule may ask of each."""


async def facts(
    database: Database, me: Me, kind: ResourceType, ids: Iterable[UUID]
) -> Mapping[UUID, Resource]:
    """Return what the policy looks at of each row, for `me`. What is not there is left out."""
    if kind not in PROTECTED:
        return {row_id: Resource(kind, id=row_id, doctor_id=_own(kind, row_id)) for row_id in ids}
    source, columns = PROTECTED[kind]
    statement = select(*(c.label(name) for name, c in columns.items())).select_from(source)
    wanted = statement.where(columns["id"].in_(list(ids)))
    rows = await database.select(wanted, asking(me))
    return {row["id"]: _resource(kind, row) for row in rows}


def found(kind: ResourceType) -> Subquery:
    """Return all rows of a kind as their facts, each worked out once a row."""
    source, columns = PROTECTED[kind]
    facts = [column.label(name) for name, column in columns.items()]
    return select(*facts).select_from(source).offset(0).subquery("found")


def visible(
    snapshot: PolicySnapshot, me: Me, action: Action, kind: ResourceType, rows: Subquery
) -> ColumnElement[bool]:
    """Return those of `found` on which a version of the rules allows an action to `me`."""
    return snapshot.predicate(me.subject, action, kind, me.environment, dict(rows.c))


def _resource(kind: ResourceType, row: Mapping[str, Any]) -> Resource:
    return Resource(kind, **{name: _fact(value) for name, value in row.items()})


def _fact(value: Any) -> Any:
    return frozenset(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _own(kind: ResourceType, row_id: UUID) -> UUID | None:
    return row_id if kind is ResourceType.DOCTOR else None
