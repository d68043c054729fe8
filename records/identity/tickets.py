"""One-time links: to choose the first password, or a new one. Of a link's secret the SHA-256 is kept."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from core.errors import NotFound
from records.audit.event import Act, Origin
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.identity import events, sessions
from records.identity.models import Account, AccountTicket, TicketKind
from records.identity.passwords import passwords
from records.identity.strength import require_strong

LIFE: Final[Mapping[TicketKind, timedelta]] = {
    TicketKind.INVITATION: timedelta(days=7),
    TicketKind.RESET: timedelta(minutes=30),
}

_account, _ticket = table_of(Account).c, table_of(AccountTicket).c


@dataclass(frozen=True, slots=True)
class Ticket:
    """A new link's secret, shown once, and when it ends."""

    secret: str
    expires_at: datetime

    def url(self, issuer: str) -> str:
        """Return the address at which its owner chooses a password."""
        return f"{issuer}/oauth/password?link={self.secret}"


async def make(session: Executor, account_id: UUID, kind: TicketKind) -> Ticket:
    """Make a link for an account. It takes the place of others of its kind."""
    await _spend(session, account_id, _ticket.kind == kind)
    ticket = Ticket(secrets.token_urlsafe(32), now() + LIFE[kind])
    row = AccountTicket(
        token_hash=sessions.hashed(ticket.secret),
        account_id=account_id,
        kind=kind,
        expires_at=ticket.expires_at,
    )
    await add(session, row)
    return ticket


async def ask(session: Executor, clinic: Clinic, origin: Origin, account: Account) -> Ticket:
    """Make a link for whoever says to have forgotten the password; that it was asked for is kept."""
    await clinic.trail.note_within(session, events.reset_asked(account, origin))
    return await make(session, account.id, TicketKind.RESET)


async def redeem(
    session: AsyncSession, clinic: Clinic, origin: Origin, secret: str, password: str
) -> None:
    """Set the password of whoever holds a link, use the link up, and end every session of the account.

    NotFound for a link that is unknown, used, or too old, or whose account is not active.
    """
    ticket = await session.get(AccountTicket, sessions.hashed(secret), with_for_update=True)
    account = await session.get(Account, ticket.account_id) if ticket else None
    if ticket is None or account is None or not (account.active and _good(ticket)):
        raise NotFound("this link is not good any more", code="link-ended")
    require_strong(password, "/password")
    await set_password(session, clinic, account, password, origin, reason=ticket.kind)
    await _spend(session, account.id)
    await sessions.end_all(session, account.id)


async def set_password(
    session: AsyncSession,
    clinic: Clinic,
    account: Account,
    password: str,
    origin: Origin,
    reason: str,
) -> None:
    """Store a new password; `reason` says on the trail how its owner proved to be one."""
    fresh = await passwords().hash(password)
    statement = update(Account).where(_account.id == account.id).values(password_hash=fresh)
    await session.execute(statement)
    event = events.by_owner(account, Act.PASSWORD, origin, reason)
    await clinic.trail.note_within(session, event)


def _good(ticket: AccountTicket) -> bool:
    return ticket.used_at is None and ticket.expires_at > now()


async def _spend(session: Executor, account_id: UUID, *only: ColumnElement[bool]) -> None:
    unused = _ticket.account_id == account_id, _ticket.used_at.is_(None), *only
    await session.execute(update(AccountTicket).where(*unused).values(used_at=now()))
