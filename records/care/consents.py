"""Consents: what a patient allows and forbids. In force at once; revoked, never erased."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update

from core.errors import Conflict, NotFound
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.models import Consent
from records.access.relations import ids_of
from records.base import Executor, rewrite, table_of
from records.care.standing import allow, allow_reading, keep
from records.clinic import Clinic

_consent: Final = table_of(Consent)


async def declare(session: Executor, clinic: Clinic, me: Me, consent: Consent) -> Consent:
    """Put a patient's directive in force."""
    kind, patient_id = ResourceType.CONSENT, consent.patient_id
    await allow(session, clinic, me, Action.CREATE, kind, patient_id, consent.id)
    await keep(session, consent)
    return consent


async def list_consents(clinic: Clinic, me: Me, patient_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return a patient's directives, newest first, those revoked as well."""
    await allow_reading(clinic, me, ResourceType.CONSENT, patient_id)
    mine = select(*_consent.c).where(_consent.c.patient_id.in_(ids_of(patient_id)))
    return await clinic.database.select(mine.order_by(_consent.c.id.desc()))


async def revoke(
    session: Executor, clinic: Clinic, me: Me, patient_id: UUID, consent_id: UUID
) -> Mapping[str, Any]:
    """Take a directive back."""
    await allow(session, clinic, me, Action.UPDATE, ResourceType.CONSENT, patient_id, consent_id)
    of = _consent.c.id == consent_id, _consent.c.patient_id.in_(ids_of(patient_id))
    revoking = update(_consent).where(*of, _consent.c.revoked_at.is_(None))
    values = {"revoked_at": func.now(), "revoked_by": me.subject.id}
    if rows := await rewrite(session, revoking.values(values)):
        return dict(rows[0])
    if (await session.execute(select(_consent.c.id).where(*of))).first() is None:
        raise NotFound("there is no such consent")
    raise Conflict("this consent was revoked before", code="consent-revoked")
