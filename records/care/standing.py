"""What stands around a patient: who treats them (that opens the chart), what they allow and forbid, who stands in for them.

Each is in force at once, and ended or revoked, never erased. Every change is decided and noted within the patient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, func, or_, select, update

from core.clock import now
from core.errors import Conflict, FieldError, Invalid, NotFound
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.models import CareTeam, Consent, Proxy
from records.access.relations import ids_of
from records.base import Executor, add, rewrite, table_of
from records.clinic import Clinic
from records.identity.models import Account
from records.meanings import fitting
from records.people.reading import patient_in_sight, patient_with_key, resource_of

Kind = type[CareTeam] | type[Consent] | type[Proxy]
_RESOURCE: Final[Mapping[Kind, ResourceType]] = {
    CareTeam: ResourceType.CARE_TEAM,
    Consent: ResourceType.CONSENT,
    Proxy: ResourceType.PROXY,
}
_consent, _account = table_of(Consent), table_of(Account)


async def put(session: Executor, clinic: Clinic, me: Me, row: CareTeam | Consent | Proxy) -> None:
    """Put a membership, a directive or a proxy in force; Invalid when it is over already, or names somebody who is not there."""
    await _allow(session, clinic, me, Action.CREATE, type(row), row.patient_id, row.id)
    if row.valid_until and row.valid_until <= now():
        raise Invalid(errors=[FieldError("/valid_until", "past", "this time has passed")])
    with fitting(type(row)):
        await add(session, row)


async def list_standing(
    clinic: Clinic, me: Me, kind: Kind, patient_id: UUID
) -> Sequence[Mapping[str, Any]]:
    """Return who treats a patient or stands in for them, now or later, oldest first; of directives all, newest first."""
    patient = await patient_in_sight(clinic, me, patient_id)
    await clinic.gate.read(me, Action.SEARCH, replace(patient, type=_RESOURCE[kind]))
    table = table_of(kind)
    theirs = select(*table.c).where(table.c.patient_id.in_(ids_of(patient_id)))
    if kind is Consent:
        return await clinic.database.select(theirs.order_by(table.c.id.desc()))
    return await clinic.database.select(theirs.where(_lasting(table)).order_by(table.c.id))


async def end(
    session: Executor,
    clinic: Clinic,
    me: Me,
    kind: type[CareTeam] | type[Proxy],
    patient_id: UUID,
    row_id: UUID,
) -> None:
    """End a membership or a proxy, and all others of the same one, who is let in by none of them any more.

    The same one is named twice, or as a doctor and by their account. The rows stay, and say until when.
    """
    await _allow(session, clinic, me, Action.UPDATE, kind, patient_id, row_id)
    table, this = table_of(kind), table_of(kind).alias("this")
    same = this.c.account_id == table.c.account_id
    if kind is CareTeam:
        same = or_(same, _doctor(this) == _doctor(table))
    named = select(this.c.id).where(*_this(this, patient_id, row_id), _lasting(this), same)
    theirs = table.c.patient_id.in_(ids_of(patient_id)), _lasting(table)
    ending = update(table).where(*theirs, named.exists())
    if not await rewrite(session, ending.values(valid_until=func.now())):
        raise NotFound(f"there is no such {_RESOURCE[kind].replace('_', ' ')}")


async def revoke(
    session: Executor, clinic: Clinic, me: Me, patient_id: UUID, consent_id: UUID
) -> Mapping[str, Any]:
    """Take a directive back, and return it; Conflict(`consent-revoked`) when it was taken back before."""
    await _allow(session, clinic, me, Action.UPDATE, Consent, patient_id, consent_id)
    this = _this(_consent, patient_id, consent_id)
    revoking = update(_consent).where(*this, _consent.c.revoked_at.is_(None))
    values = {"revoked_at": func.now(), "revoked_by": me.subject.id}
    if rows := await rewrite(session, revoking.values(values)):
        return dict(rows[0])
    if (await session.execute(select(_consent.c.id).where(*this))).first() is None:
        raise NotFound("there is no such consent")
    raise Conflict("this consent was revoked before", code="consent-revoked")


async def _allow(
    session: Executor,
    clinic: Clinic,
    me: Me,
    action: Action,
    kind: Kind,
    patient_id: UUID,
    row_id: UUID,
) -> None:
    """Let something around a patient be written; NotFound for a patient out of sight."""
    within = resource_of(await patient_with_key(session, clinic, me, action, patient_id))
    resource = replace(within, type=_RESOURCE[kind], id=row_id)
    await clinic.gate.write(session, me, action, resource, within=within)


def _this(table: FromClause, patient_id: UUID, row_id: UUID) -> Sequence[ColumnElement[bool]]:
    return table.c.id == row_id, table.c.patient_id.in_(ids_of(patient_id))


def _doctor(member: FromClause) -> ColumnElement[Any]:
    """Return which doctor is a member, named as a doctor or by their account."""
    theirs = select(_account.c.doctor_id).where(_account.c.id == member.c.account_id)
    return func.coalesce(member.c.doctor_id, theirs.scalar_subquery())


def _lasting(table: FromClause) -> ColumnElement[bool]:
    return or_(table.c.valid_until.is_(None), table.c.valid_until > func.now())
