"""OAuth sessions: a login at a client, the code it starts from, the refresh tokens that carry it on.

Codes and refresh tokens are secrets, of which the SHA-256 is kept. A used one stays: shown again, it was stolen
once, and the whole session ends (RFC 9700 §4.14). Rows are locked while they are judged, so of
many racing uses one succeeds.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Update, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from core.database import Database
from core.database_errors import translated
from core.errors import NotFound
from records.base import Executor, add, table_of
from records.identity.callers import forget
from records.identity.models import Account, OAuthCode, OAuthRefreshToken, OAuthSession

CODE_LIFE: Final = timedelta(seconds=60)

_session, _code = table_of(OAuthSession).c, table_of(OAuthCode).c
_refresh = table_of(OAuthRefreshToken).c


class Replayed(Exception):
    """A used code or refresh token was shown again; `family` is the session, which has been ended."""

    def __init__(self, family: OAuthSession) -> None:
        super().__init__(str(family.id))
        self.family = family


def hashed(secret: str) -> bytes:
    """Return what is stored of a code or a refresh token."""
    return sha256(secret.encode()).digest()


async def start(
    session: Executor,
    account_id: UUID,
    client_id: str,
    scope: str,
    life: timedelta,
    *,
    auth_time: datetime | None = None,
    amr: Sequence[str] = (),
) -> OAuthSession:
    """Begin a session: it ends after its life, however often it is renewed. `amr` says how its owner logged in."""
    family = OAuthSession(
        account_id=account_id,
        client_id=client_id,
        scope=scope,
        auth_time=auth_time or now(),
        amr=list(amr),
        expires_at=now() + life,
    )
    await add(session, family)
    return family


async def redeemable(session: AsyncSession, code: str, client_id: str) -> OAuthCode | None:
    """Return a code that may be redeemed now, locked; None if there is none; Replayed if it was."""
    found = select(OAuthCode).where(_code.code_hash == hashed(code)).with_for_update()
    row: OAuthCode | None = (await session.execute(found)).scalar_one_or_none()
    if row is None or row.client_id != client_id:
        return None
    if row.session_id:
        raise Replayed(await end(session, row.session_id))
    return row if row.expires_at > now() else None


async def redeem(session: AsyncSession, code: OAuthCode, life: timedelta) -> OAuthSession:
    """Use a code up: begin the session it stands for."""
    whose = code.account_id, code.client_id, code.scope
    family = await start(session, *whose, life, auth_time=code.auth_time, amr=code.amr)
    code.session_id = family.id
    return family


async def refreshable(
    session: AsyncSession, token: str, client_id: str
) -> tuple[OAuthRefreshToken, OAuthSession] | None:
    """Return a refresh token that may be used now and its session, locked; Replayed if it was used."""
    found = (
        select(OAuthRefreshToken, OAuthSession)
        .join(OAuthSession, _session.id == _refresh.session_id)
        .where(_refresh.token_hash == hashed(token))
        .with_for_update()
    )
    row = (await session.execute(found)).one_or_none()
    if row is None or row[1].client_id != client_id:
        return None
    refresh, family = row
    if refresh.used_at:
        raise Replayed(await end(session, family.id))
    alive = family.revoked_at is None and min(refresh.expires_at, family.expires_at) > now()
    return (refresh, family) if alive else None


async def renew(
    session: AsyncSession, family: OAuthSession, used: OAuthRefreshToken | None = None
) -> str:
    """Return a fresh refresh token of the session, in place of the used one if there is one."""
    if used:
        used.used_at = now()
    secret = secrets.token_urlsafe(32)
    await add(
        session,
        OAuthRefreshToken(
            token_hash=hashed(secret), session_id=family.id, expires_at=family.expires_at
        ),
    )
    return secret


async def of_refresh_token(session: AsyncSession, token: str) -> OAuthSession | None:
    """Return the session a refresh token belongs to, used or not."""
    found = (
        select(OAuthSession)
        .join(OAuthRefreshToken, _session.id == _refresh.session_id)
        .where(_refresh.token_hash == hashed(token))
    )
    return (await session.execute(found)).scalar_one_or_none()


async def alive(database: Database, account_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return the sessions of an account that have not ended, the latest first."""
    shown = _session.id, _session.client_id, _session.scope, _session.auth_time, _session.expires_at
    return await database.select(
        select(*shown).where(*_alive(account_id)).order_by(_session.auth_time.desc())
    )


async def end_all(
    session: AsyncSession,
    account_id: UUID,
    *,
    only: UUID | None = None,
    keep: UUID | None = None,
) -> None:
    """End the sessions of an account: all of them, all but one, or one (NotFound if it is not alive)."""
    ending = update(OAuthSession).where(*_alive(account_id)).values(revoked_at=now())
    if only:
        ending = ending.where(_session.id == only)
    if keep:
        ending = ending.where(_session.id != keep)
    if not await affected(session, ending) and only:
        raise NotFound("there is no such session")
    forget(session)


async def end_clients(session: AsyncSession, client_id: str) -> None:
    """End every session at a client."""
    its = _session.client_id == client_id, _session.revoked_at.is_(None)
    await session.execute(update(OAuthSession).where(*its).values(revoked_at=now()))
    forget(session)


async def end_at(session: AsyncSession, account_id: UUID, client_id: str) -> None:
    """End the sessions of an account at a client."""
    its = *_alive(account_id), _session.client_id == client_id
    await session.execute(update(OAuthSession).where(*its).values(revoked_at=now()))
    forget(session)


async def affected(session: AsyncSession, statement: Update) -> int:
    """Return how many rows a statement changed."""
    with translated():
        done: Any = await session.execute(statement)
    return int(done.rowcount)


def _alive(account_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        _session.account_id == account_id,
        _session.revoked_at.is_(None),
        _session.expires_at > now(),
    )


async def end(session: AsyncSession, session_id: UUID) -> OAuthSession:
    """End a session and so every token of it: in this process at once, in all others within a second."""
    statement = (
        update(OAuthSession)
        .where(_session.id == session_id, _session.revoked_at.is_(None))
        .values(revoked_at=now())
    )
    await session.execute(statement)
    forget(session)
    return await session.get_one(OAuthSession, session_id, populate_existing=True)


async def owner(session: AsyncSession, account_id: UUID) -> Account | None:
    """Return the account behind a code or a session, if it is active."""
    account = await session.get(Account, account_id)
    return account if account and account.active else None
