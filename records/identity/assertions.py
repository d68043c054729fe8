"""Clients that prove themselves by a signed assertion (RFC 7523 §3): short-lived, for us, and good once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from core.crypto.assertions import asserted, claimant, kid_of
from core.crypto.signing import BadToken
from core.fetching import Reach
from records.base import table_of
from records.clinic import Clinic
from records.identity.clients import find
from records.identity.keysets import key_set
from records.identity.models import ClientAuth, OAuthAssertion, OAuthClient
from records.identity.sessions import hashed

LONGEST: Final = 300
"""Seconds from now that an assertion may be good for."""
SKEW: Final = 30
"""Seconds that a client's clock may run ahead."""

_assertion = table_of(OAuthAssertion)


async def proven(
    session: AsyncSession,
    clinic: Clinic,
    assertion: str,
    audiences: tuple[str, ...],
    reach: Reach,
) -> OAuthClient | None:
    """Return the client that an assertion proves, if it does; it is used up by that. `reach` bounds a fetch of its keys."""
    try:
        client = await find(clinic.database, claimant(assertion))
        if client is None or client.auth_method != ClientAuth.PRIVATE_KEY_JWT:
            return None
        keys: Mapping[str, Any] | None = client.jwks
        if client.jwks_uri:
            keys = await key_set(client.jwks_uri, kid_of(assertion), reach)
        claims = asserted(assertion, keys)
    except BadToken:
        return None
    if not _says_so(claims, client.id, audiences):
        return None
    return (
        client if await first_use(session, f"{client.id} {claims['jti']}", claims["exp"]) else None
    )


async def first_use(session: AsyncSession, name: str, ends: float) -> bool:
    """Tell whether what has this name, and is good until then (seconds since 1970), is used for the first time."""
    await session.execute(delete(OAuthAssertion).where(_assertion.c.expires_at < now()))
    row = {"assertion_hash": hashed(name), "expires_at": datetime.fromtimestamp(ends, UTC)}
    fresh = insert(_assertion).values(row).on_conflict_do_nothing()
    made = await session.execute(fresh.returning(_assertion.c.assertion_hash))
    return made.first() is not None


def _says_so(claims: dict[str, Any], client_id: str, audiences: tuple[str, ...]) -> bool:
    at = now().timestamp()
    ends, jti, meant = claims.get("exp"), claims.get("jti"), claims.get("aud")
    return (
        claims.get("iss") == claims.get("sub") == client_id
        and (
            meant in audiences
            or (isinstance(meant, list) and len(meant) == 1 and meant[0] in audiences)
        )
        and isinstance(ends, int)
        and at < ends <= at + LONGEST + SKEW
        and all(_past(claims.get(name, 0), at) for name in ("nbf", "iat"))
        and isinstance(jti, str)
        and 0 < len(jti) <= LONGEST
    )


def _past(moment: object, at: float) -> bool:
    return isinstance(moment, int) and moment <= at + SKEW
