"""Challenges to a passkey: signed, for one purpose, good for a few minutes and once. Nothing is kept of one until it is used."""

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from core.crypto.signing import BadToken
from records.identity.assertions import first_use
from records.identity.tokens import Tokens

LIFE: Final = 300
"""Seconds to answer."""
_TYPE: Final = "challenge+jwt"


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge as a form carries it; an authenticator signs its hash."""

    text: str

    @property
    def signed(self) -> bytes:
        """What the authenticator signs."""
        return sha256(self.text.encode()).digest()


def challenge(tokens: Tokens, purpose: str) -> Challenge:
    """Return a new challenge for a purpose: enrolment by an account, the login of a request."""
    ends = now().timestamp() + LIFE
    claims = {"for": purpose, "jti": secrets.token_urlsafe(16), "exp": ends}
    return Challenge(tokens.keys.sign(_TYPE, claims))


async def spent(session: AsyncSession, tokens: Tokens, text: str, purpose: str) -> Challenge | None:
    """Return a challenge that came back, using it up; None if it is too old, used, not ours, or for something else."""
    try:
        said = tokens.keys.verify(text, _TYPE)
    except BadToken:
        return None
    if said["for"] != purpose or said["exp"] <= now().timestamp():
        return None
    first = await first_use(session, f"challenge {said['jti']}", said["exp"])
    return Challenge(text) if first else None
