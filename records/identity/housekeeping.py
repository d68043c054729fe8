"""Forgetting logins that are over: a code or token that has expired can neither be used nor betray a theft."""

from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select

from core.clock import now
from core.database import Database
from records.base import table_of
from records.identity.models import OAuthCode, OAuthRefreshToken, OAuthSession
from records.identity.tallies import Tally

KEPT: Final = timedelta(days=7)
"""How long an expired login stays, for whoever looks into what went wrong."""


async def forget_expired(database: Database) -> None:
    """Delete sessions that expired a week ago, with their codes and tokens, codes that were never redeemed, and counters."""
    session, code = table_of(OAuthSession), table_of(OAuthCode)
    token, past = table_of(OAuthRefreshToken), now() - KEPT
    over = select(session.c.id).where(session.c.expires_at < past)
    async with database.transaction() as transaction:
        await transaction.execute(delete(token).where(token.c.session_id.in_(over)))
        await transaction.execute(
            delete(code).where(
                code.c.session_id.in_(over)
                | (code.c.session_id.is_(None) & (code.c.expires_at < past))
            )
        )
        await transaction.execute(delete(session).where(session.c.expires_at < past))
        tally = table_of(Tally)
        await transaction.execute(delete(tally).where(tally.c.ends_at < now()))
