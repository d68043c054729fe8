"""Who saw a record: for the patient it is about, and for those who check."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import UUID as PGUUID
from sqlalchemy import ColumnElement, Text, column, func, select, table

from core.errors import NotFound
from policies.facts import Resource
from policies.vocabulary import Action, Outcome, ResourceType
from records.access.gate import HIDDEN
from records.access.me import Me
from records.audit import tree
from records.audit.models import AuditEvent, Leaf
from records.base import table_of
from records.clinic import Clinic
from records.compliance.persons import Person, person
from records.identity.models import Account

_event, _leaf, _account = (table_of(kind) for kind in (AuditEvent, Leaf, Account))
# Of what stands beside this package, a report needs a name and an id.
_doctor = table("doctor", column("id", PGUUID()), column("given", Text()), column("family", Text()))

_WHO: Final = func.coalesce(func.concat_ws(" ", _doctor.c.given, _doctor.c.family), "")
_NAME: Final = func.coalesce(func.nullif(_WHO, ""), _account.c.label).label("actor_name")
_PEOPLE: Final = _event.outerjoin(_account, _account.c.id == _event.c.actor).outerjoin(
    _doctor, _doctor.c.id == _account.c.doctor_id
)
_SHOWN: Final = ("action", "outcome", "purpose", "resource_type", "resource_ids", "break_glass")


async def access_report(
    clinic: Clinic, me: Me, patient_id: UUID, *, refused: bool, limit: int, after: UUID | None
) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]], UUID | None]:
    """Return a page of acts on the patient's data, newest first; who acted how often; and where the next page starts."""
    whose = await _log_of(clinic, me, patient_id)
    about: list[ColumnElement[bool]] = [_event.c.patient.in_(whose.ids)]
    if not refused:
        about.append(_event.c.outcome != Outcome.DENY)
    acts = (
        select(_event.c.id, _event.c.body, _NAME, _leaf.c.leaf_index)
        .select_from(_PEOPLE.outerjoin(_leaf, _leaf.c.event_id == _event.c.id))
        .where(*about, *([_event.c.id < after] if after else []))
        .order_by(_event.c.id.desc())
        .limit(limit + 1)
    )
    who = (
        select(
            _event.c.actor,
            func.max(_NAME.element).label("actor_name"),
            func.count().label("times"),
            func.min(_event.c.occurred_at).label("first"),
            func.max(_event.c.occurred_at).label("last"),
        )
        .select_from(_PEOPLE)
        .where(*about)
        .group_by(_event.c.actor)
        .order_by(func.max(_event.c.occurred_at).desc())
        .limit(100)
    )
    rows = await clinic.database.select(acts)
    last = rows[limit - 1]["id"] if len(rows) > limit else None
    return [_act(row) for row in rows[:limit]], await clinic.database.select(who), last


async def access_proof(clinic: Clinic, me: Me, patient_id: UUID, event_id: UUID) -> str:
    """Return the proof that an act of the patient's report is in the sealed log."""
    whose = await _log_of(clinic, me, patient_id)
    found = select(_event.c.id).where(_event.c.id == event_id, _event.c.patient.in_(whose.ids))
    if not await clinic.database.select(found):
        raise NotFound(HIDDEN)
    return str(await tree.proof_of(clinic.database, event_id))


async def _log_of(clinic: Clinic, me: Me, patient_id: UUID) -> Person:
    """Return whose log it is, if the caller may see what was done to their data."""
    whose = await person(clinic, me, patient_id, Action.SEARCH, ResourceType.AUDIT_EVENT)
    about = Resource(ResourceType.AUDIT_EVENT, patient_id=whose.id)
    await clinic.gate.read(me, Action.SEARCH, about)
    return whose


def _act(row: Mapping[str, Any]) -> Mapping[str, Any]:
    event = orjson.loads(row["body"])
    return {
        "event_id": row["id"],
        "occurred_at": event["occurred_at"],
        "actor": event["actor"],
        "actor_name": row["actor_name"],
        "roles": event["roles"],
        **{name: event[name] for name in _SHOWN},
        "leaf_index": row["leaf_index"],
        "entry": row["body"].decode(),
    }
