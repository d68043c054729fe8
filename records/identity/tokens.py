"""Access tokens (RFC 9068) and ID tokens (OpenID Connect): made here, checked here, kept nowhere."""

import secrets
from base64 import urlsafe_b64encode
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from time import time
from typing import Any, Final
from uuid import UUID

from core.clock import now
from core.crypto.signing import BadToken, SigningKeys
from core.errors import Forbidden, NotFound, Unauthenticated
from core.settings import Settings, settings
from records.audit.event import Origin
from records.clinic import Clinic
from records.identity import sessions
from records.identity.accounts import named
from records.identity.events import logged_in
from records.identity.models import OAuthSession
from records.identity.ours import CLI

ACCESS: Final = "at+jwt"
ID: Final = "JWT"
KEYS: Final = "signing-keys.json"
"""The file of the signing keys, in `CONFIDE_HOME`."""
WEAK: Final = "aal1"
STRONG: Final = "aal2"
"""`acr`: one factor, or two (the assurance levels of NIST SP 800-63B)."""
MULTIPLE: Final = "mfa"
"""`amr` of a login with two factors (RFC 8176)."""
KEPT: Final = 10_000
"""Verified tokens remembered: a signature costs 0.2 ms, a look here 1 µs."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a verified access token says. `expires` and `issued` are seconds since 1970."""

    account: UUID
    session: UUID
    client_id: str
    scope: str
    issued: int
    expires: int
    auth_time: int
    acr: str


class Tokens:
    """Issuer and verifier under one set of keys and one name. `seconds` is an access token's life, `life` a session's."""

    def __init__(self, keys: SigningKeys, issuer: str, seconds: int, life: timedelta) -> None:
        self.keys = keys
        self.issuer = issuer
        self.seconds = seconds
        self.life = life
        self._verified: OrderedDict[bytes, AccessToken] = OrderedDict()

    @classmethod
    def of(cls, here: Settings) -> "Tokens":
        """Return the tokens of a service. In development the first use makes the keys."""
        path = here.home / KEYS
        keys = SigningKeys.open_or_create(path) if here.development else SigningKeys(path)
        life = timedelta(seconds=here.refresh_token_seconds)
        return cls(keys, here.issuer, here.access_token_seconds, life)

    def access(self, family: OAuthSession, scope: str | None = None) -> str:
        """Return a fresh access token of a session."""
        at = int(now().timestamp())
        claims = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": str(family.account_id),
            "client_id": family.client_id,
            "sid": str(family.id),
            "scope": family.scope if scope is None else scope,
            "iat": at,
            "exp": at + self.seconds,
            "jti": secrets.token_urlsafe(12),
            **_login(family),
        }
        return self.keys.sign(ACCESS, claims)

    def identity(self, family: OAuthSession, access: str, nonce: str | None) -> str:
        """Return the ID token that goes with an access token."""
        at = int(now().timestamp())
        claims = {
            "iss": self.issuer,
            "aud": family.client_id,
            "sub": str(family.account_id),
            "sid": str(family.id),
            "iat": at,
            "exp": at + self.seconds,
            **_login(family),
            "at_hash": _half(access),
        }
        return self.keys.sign(ID, claims | ({"nonce": nonce} if nonce else {}))

    def verify(self, token: str) -> AccessToken:
        """Return what an access token says; raise Unauthenticated unless it is one of ours and in time."""
        digest = sha256(token.encode("utf-8", "surrogateescape")).digest()
        if self.keys.changed():
            self._verified.clear()
        known = self._verified.get(digest)
        if known is None:
            known = self._verified[digest] = self._checked(token)
            if len(self._verified) > KEPT:
                self._verified.popitem(last=False)
        else:
            self._verified.move_to_end(digest)
        if known.expires <= time():
            self._verified.pop(digest, None)
            raise Unauthenticated("the access token has expired")
        return known

    def _checked(self, token: str) -> AccessToken:
        try:
            return _said(self.keys.verify(token, ACCESS), self.issuer)
        except (BadToken, KeyError, TypeError, ValueError, AttributeError):
            raise Unauthenticated("the access token is not valid") from None


def _said(claims: dict[str, Any], issuer: str) -> AccessToken:
    if claims["iss"] != issuer or claims["aud"] != issuer or claims.get("nbf", 0) > time():
        raise BadToken
    if not isinstance(claims["exp"], int):
        raise BadToken
    return AccessToken(
        account=UUID(claims["sub"]),
        session=UUID(claims["sid"]),
        client_id=claims["client_id"],
        scope=claims["scope"],
        issued=claims["iat"],
        expires=claims["exp"],
        auth_time=claims["auth_time"],
        acr=claims["acr"],
    )


def _login(family: OAuthSession) -> dict[str, Any]:
    """Return what a token says of the login behind it (OpenID Connect Core §2, RFC 9470)."""
    acr = STRONG if MULTIPLE in family.amr else WEAK
    return {"auth_time": int(family.auth_time.timestamp()), "amr": family.amr, "acr": acr}


def _half(access: str) -> str:
    """Return `at_hash`: the left half of the token's hash (OpenID Connect Core §3.1.3.6)."""
    return urlsafe_b64encode(sha256(access.encode()).digest()[:16]).rstrip(b"=").decode()


async def issue_for(clinic: Clinic, username: str) -> str:
    """Return an access token for an account without its password: in development only, and an event."""
    here = settings()
    if not here.development:
        raise Forbidden("tokens are handed out in development only", code="development-only")
    account = await named(clinic, username)
    if account is None or not account.active:
        raise NotFound("there is no such account, or it is not active")
    made = Tokens.of(here)
    async with clinic.database.transaction() as session:
        family = await sessions.start(session, account.id, CLI, "openid profile", made.life)
        origin = Origin("confide token", str(family.id), client=CLI)
        await clinic.trail.note_within(session, logged_in(account, origin))
    return made.access(family)
