"""What somebody has agreed that an application may do for them: remembered, until they take it back."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from core.database import Query
from core.errors import NotFound
from records.access.me import Me
from records.audit.event import Act
from records.base import table_of
from records.clinic import Clinic
from records.identity import events, sessions
from records.identity.models import OAuthClient, OAuthConsent

_table = table_of(OAuthConsent)
_consent, _client = _table.c, table_of(OAuthClient).c
_ITS = Query(
    select(_consent.scopes).where(
        _consent.account_id == bindparam("account"), _consent.client_id == bindparam("client")
    )
)
WITHDRAWN: Final = "consent-withdrawn"


async def covers(clinic: Clinic, account_id: UUID, client_id: str, scope: str) -> bool:
    """Tell whether somebody has agreed to all of this before. A word that is new is asked about."""
    row = await clinic.database.one(_ITS, account=account_id, client=client_id)
    return row is not None and set(scope.split()) <= set(row["scopes"])


async def remember(session: AsyncSession, account_id: UUID, client_id: str, scope: str) -> None:
    """Keep what somebody has agreed to, besides what they had before."""
    key = {"account_id": account_id, "client_id": client_id}
    none = insert(_table).values(**key, scopes=[], given_at=now()).on_conflict_do_nothing()
    await session.execute(none)
    row = await session.get_one(OAuthConsent, key, with_for_update=True)
    row.scopes, row.given_at = sorted({*row.scopes, *scope.split()}), now()


async def own_applications(clinic: Clinic, account_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return the applications that somebody has agreed to, by name."""
    shown = _consent.client_id, _client.name.label("client_name"), _consent.scopes
    its = _consent.account_id == account_id
    statement = select(*shown, _consent.given_at).join_from(OAuthConsent, OAuthClient)
    return await clinic.database.select(statement.where(its).order_by(_client.name))


async def withdraw(session: AsyncSession, clinic: Clinic, me: Me, client_id: str) -> None:
    """Take a consent of the caller's back: their sessions at the application end, and it has to ask again."""
    its = _consent.account_id == me.subject.id, _consent.client_id == client_id
    gone = delete(OAuthConsent).where(*its).returning(_consent.client_id)
    if (await session.execute(gone)).first() is None:
        raise NotFound("there is no such application")
    await sessions.end_at(session, me.subject.id, client_id)
    await clinic.trail.note_within(session, events.done(me, Act.LOGOUT, WITHDRAWN))
