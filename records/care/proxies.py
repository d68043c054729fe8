"""Proxies: accounts that stand in for a patient, as a parent's or a guardian's does."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, or_, select, update

from core.errors import NotFound
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.models import Proxy
from records.access.relations import ids_of
from records.base import Executor, rewrite, table_of
from records.care.standing import allow, allow_reading, keep
from records.clinic import Clinic

_proxy = table_of(Proxy)
_current: Final = or_(_proxy.c.valid_until.is_(None), _proxy.c.valid_until > func.now())


async def appoint(session: Executor, clinic: Clinic, me: Me, proxy: Proxy) -> Proxy:
    """Let an account stand in for a patient."""
    kind, patient_id = ResourceType.PROXY, proxy.patient_id
    await allow(session, clinic, me, Action.CREATE, kind, patient_id, proxy.id)
    await keep(session, proxy)
    return proxy


async def list_proxies(clinic: Clinic, me: Me, patient_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return who stands in for a patient."""
    await allow_reading(clinic, me, ResourceType.PROXY, patient_id)
    mine = select(*_proxy.c).where(_proxy.c.patient_id.in_(ids_of(patient_id)), _current)
    return await clinic.database.select(mine.order_by(_proxy.c.id))


async def dismiss(
    session: Executor, clinic: Clinic, me: Me, patient_id: UUID, proxy_id: UUID
) -> None:
    """End a proxy. The row stays, and says until when."""
    await allow(session, clinic, me, Action.UPDATE, ResourceType.PROXY, patient_id, proxy_id)
    of = _proxy.c.id == proxy_id, _proxy.c.patient_id.in_(ids_of(patient_id)), _current
    ending = update(_proxy).where(*of).values(valid_until=func.now())
    if not await rewrite(session, ending):
        raise NotFound("there is no such proxy")
