"""The grants of a person's login and of a client itself, on top of Authlib's: it checks the protocol, these keep the state."""

import re
from datetime import timedelta
from typing import Any, Final

from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc6749.grants import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    RefreshTokenGrant,
)
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9101.errors import RequestNotSupportedError
from authlib.oidc.core.errors import LoginRequiredError

from api.oauth.clients import Client
from api.oauth.events import began, replayed
from api.oauth.proof import METHOD
from api.oauth.request import WebRequest, wait
from core.clock import now
from records.base import add
from records.identity import sessions
from records.identity.models import Account, OAuthCode, OAuthRefreshToken, OAuthSession

SECRETS: Final = ("client_secret_basic", "client_secret_post")
METHODS: Final = ("none", *SECRETS, METHOD)
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class S256(CodeChallenge):  # type: ignore[misc]
    """PKCE by SHA-256, for every client."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Refuse a request without a challenge, or with one of another method."""
        given = grant.request.payload.data
        if given.get("code_challenge_method") != "S256":
            raise InvalidRequestError("code_challenge_method must be S256.")
        if not _CHALLENGE.fullmatch(given.get("code_challenge", "")):
            raise InvalidRequestError("code_challenge must be 43 characters of base64url.")
        if "request" in given:  # who signs a request must not be answered as if nobody had
            raise RequestNotSupportedError(redirect_uri=redirect_uri)
        if given.get("prompt") == "none":
            raise LoginRequiredError(redirect_uri=redirect_uri)

    def get_authorization_code_challenge(self, authorization_code: "Code") -> str:
        """Return what the code was asked for with."""
        return authorization_code.row.challenge

    def get_authorization_code_challenge_method(self, _code: "Code") -> str:
        """Return the one there is."""
        return "S256"


class Code:
    """An authorization code as Authlib asks about it."""

    def __init__(self, row: OAuthCode) -> None:
        self.row = row

    def get_redirect_uri(self) -> str:
        """Return where the code was sent."""
        return self.row.redirect_uri

    def get_scope(self) -> str:
        """Return what it was asked for."""
        return self.row.scope


class Refresh:
    """A refresh token and its session, as Authlib asks about them."""

    def __init__(self, row: OAuthRefreshToken, family: OAuthSession) -> None:
        self.row = row
        self.family = family

    def check_client(self, client: Client) -> bool:
        """Tell whose it is."""
        return self.family.client_id == client.id

    def get_scope(self) -> str:
        """Return the session's."""
        return self.family.scope


class Grant:
    """What all of ours have in common, on top of Authlib's."""

    TOKEN_ENDPOINT_AUTH_METHODS: tuple[str, ...] = METHODS
    request: WebRequest

    def save_token(self, token: dict[str, Any]) -> None:
        """What is kept of a token was kept when it was made."""


class CodeGrant(Grant, AuthorizationCodeGrant):  # type: ignore[misc]
    """A code for a login, tokens for a code."""

    def save_authorization_code(self, code: str, request: WebRequest) -> None:
        """Keep the hash of a new code."""
        given = request.payload.data
        row = OAuthCode(
            code_hash=sessions.hashed(code),
            client_id=request.client.id,
            account_id=request.user.id,
            redirect_uri=given["redirect_uri"],
            scope=request.scope,
            nonce=given.get("nonce"),
            challenge=given["code_challenge"],
            auth_time=request.progress.auth_time,
            amr=list(request.progress.amr),
            expires_at=now() + sessions.CODE_LIFE,
        )
        wait(add, request.setting.writing, row)

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        """Return a code that may be used now. A used one ends the session it began."""
        setting = self.request.setting
        try:
            row = wait(sessions.redeemable, setting.writing, code, client.id)
        except sessions.Replayed as theft:
            replayed(setting, theft.family, "code-replayed")
            return None
        return Code(row) if row else None

    def authenticate_user(self, authorization_code: Code) -> Account | None:
        """Return who logged in, if still welcome."""
        return wait(sessions.owner, self.request.setting.writing, authorization_code.row.account_id)

    def generate_token(
        self, *, scope: str, include_refresh_token: bool, **_: Any
    ) -> dict[str, Any]:
        """Use the code up, and make the first tokens of its session."""
        code, setting = self.request.authorization_code.row, self.request.setting
        family = wait(sessions.redeem, setting.writing, code, setting.tokens.life)
        return issued(self.request, family, scope, code.nonce, refresh=include_refresh_token)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """It stays, used up."""


class RefreshGrant(Grant, RefreshTokenGrant):  # type: ignore[misc]
    """Tokens for a refresh token, which is thereby used up."""

    def authenticate_refresh_token(self, refresh_token: str) -> Refresh | None:
        """Return a refresh token that may be used now. A used one ends its session."""
        setting, client = self.request.setting, self.request.client
        try:
            found = wait(sessions.refreshable, setting.writing, refresh_token, client.id)
        except sessions.Replayed as theft:
            replayed(setting, theft.family, "refresh-replayed")
            return None
        return Refresh(*found) if found else None

    def authenticate_user(self, refresh_token: Refresh) -> Account | None:
        """Return whose session it is, if still welcome."""
        return wait(sessions.owner, self.request.setting.writing, refresh_token.family.account_id)

    def issue_token(self, _user: Account, refresh_token: Refresh) -> dict[str, Any]:
        """Use the refresh token up; the scope may shrink for this access token (RFC 6749 §6)."""
        session, family = self.request.setting.writing, refresh_token.family
        answer = _bearer(self.request, family, self.request.payload.scope or family.scope)
        answer["refresh_token"] = wait(sessions.renew, session, family, refresh_token.row)
        return answer

    def revoke_old_credential(self, refresh_token: Refresh) -> None:
        """It is used up."""


class OwnGrant(Grant, ClientCredentialsGrant):  # type: ignore[misc]
    """A token for a client that asks for itself, as the account it was given."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS[1:]

    def generate_token(self, *, scope: str | None, **_: Any) -> dict[str, Any]:
        """Begin a session as short as its one token."""
        setting, client = self.request.setting, self.request.client
        given = client.own_scope(scope)
        account = wait(sessions.owner, setting.writing, client.row.account_id)
        if given is None or account is None:
            raise InvalidScopeError
        life = timedelta(seconds=setting.tokens.seconds)
        family = wait(sessions.start, setting.writing, account.id, client.id, given, life)
        began(setting, family)
        return _bearer(self.request, family, given)


def issued(
    request: WebRequest,
    family: OAuthSession,
    scope: str,
    nonce: str | None = None,
    *,
    refresh: bool,
) -> dict[str, Any]:
    """Return the first tokens of a session."""
    answer, setting = _bearer(request, family, scope), request.setting
    if refresh:
        answer["refresh_token"] = wait(sessions.renew, setting.writing, family)
    if "openid" in scope.split():
        answer["id_token"] = setting.tokens.identity(family, answer["access_token"], nonce)
    return answer


def _bearer(request: WebRequest, family: OAuthSession, scope: str) -> dict[str, Any]:
    tokens = request.setting.tokens
    return {
        "access_token": tokens.access(family, scope),
        "token_type": "Bearer",
        "expires_in": tokens.seconds,
        "scope": scope,
    }
