"""Authorization requests that clients push beforehand (RFC 9126): nobody on the way can read or change them."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import orjson
from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from core.database import Database, Query
from records.base import add, table_of
from records.identity.models import OAuthPushedRequest
from records.identity.sessions import hashed

LIFE: Final = timedelta(minutes=10)
"""Long enough to type a password and find one's telephone."""
PREFIX: Final = "urn:ietf:params:oauth:request_uri:"

_pushed = table_of(OAuthPushedRequest).c
_FOUND = Query(
    select(_pushed.parameters).where(
        _pushed.request_hash == bindparam("hash"),
        _pushed.client_id == bindparam("client"),
        _pushed.expires_at > func.now(),
    )
)


async def push(session: AsyncSession, client_id: str, parameters: Mapping[str, str]) -> str:
    """Keep a request; return the name by which its client may refer to it."""
    name = PREFIX + secrets.token_urlsafe(32)
    await session.execute(delete(OAuthPushedRequest).where(_pushed.expires_at < now()))
    row = OAuthPushedRequest(
        request_hash=hashed(name),
        client_id=client_id,
        parameters=dict(parameters),
        expires_at=now() + LIFE,
    )
    await add(session, row)
    return name


async def pulled(database: Database, client_id: str, name: str) -> dict[str, str] | None:
    """Return the parameters of a request that this client has pushed, unless it is too old or was used."""
    row: Any = await database.one(_FOUND, hash=hashed(name), client=client_id)
    return {str(k): str(v) for k, v in orjson.loads(row["parameters"]).items()} if row else None


async def use_up(session: AsyncSession, name: str) -> None:
    """Forget a request: a code was sent for it."""
    await session.execute(delete(OAuthPushedRequest).where(_pushed.request_hash == hashed(name)))
