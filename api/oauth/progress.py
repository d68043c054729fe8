"""How far a login has come, between one page and the next: signed, for this very request, and for a few minutes.

There is no cookie: what the next form brings back is what the last page gave it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.crypto.signing import BadToken
from records.identity.tokens import MULTIPLE, Tokens

LIFE: Final = 300
"""Seconds from the password to the end of the login."""
_TYPE: Final = "login+jwt"
_BOUND: Final = (
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "request_uri",
    "user_code",
)


@dataclass(frozen=True, slots=True)
class Progress:
    """Who has logged in so far, when, and by what."""

    account: UUID
    auth_time: datetime
    amr: tuple[str, ...] = ("pwd",)

    @property
    def strong(self) -> bool:
        """Whether a second factor was shown."""
        return MULTIPLE in self.amr

    def second(self, method: str) -> "Progress":
        """Return it with a second factor, named as RFC 8176 does."""
        return replace(self, amr=(*self.amr, method, MULTIPLE))


def written(tokens: Tokens, progress: Progress, carried: Mapping[str, str]) -> str:
    """Return the progress of a request as its next form carries it."""
    claims = {
        "sub": str(progress.account),
        "auth_time": progress.auth_time.timestamp(),
        "amr": progress.amr,
        "req": digest(carried),
        "exp": now().timestamp() + LIFE,
    }
    return tokens.keys.sign(_TYPE, claims)


def read(tokens: Tokens, text: str, carried: Mapping[str, str]) -> Progress | None:
    """Return the progress that a form brought back; None if it is another request's, too old, or not ours."""
    try:
        said: dict[str, Any] = tokens.keys.verify(text, _TYPE)
    except BadToken:
        return None
    if said["req"] != digest(carried) or said["exp"] <= now().timestamp():
        return None
    at = datetime.fromtimestamp(said["auth_time"], UTC)
    return Progress(UUID(said["sub"]), at, tuple(said["amr"]))


def digest(carried: Mapping[str, str]) -> str:
    """Return what tells one request from another."""
    parts = "\0".join(carried.get(name, "") for name in _BOUND)
    return sha256(parts.encode()).hexdigest()
