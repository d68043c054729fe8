"""Ending a session (RFC 7009), and asking about a token (RFC 7662)."""

from typing import Any

from authlib.oauth2.rfc7009 import RevocationEndpoint

from api.oauth.clients import Client
from api.oauth.events import logged_out
from api.oauth.grants import METHODS
from api.oauth.request import Setting, WebRequest, wait
from core.errors import Unauthenticated
from records.identity import sessions
from records.identity.callers import caller
from records.identity.models import OAuthSession
from records.identity.tokens import AccessToken


class Family:
    """The session that a token belongs to, as Authlib asks about it."""

    def __init__(self, row: OAuthSession) -> None:
        self.row = row

    def check_client(self, client: Client) -> bool:
        """Tell whose it is."""
        return self.row.client_id == client.id


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    """Either token stands for its session: revoking one ends all of it."""

    CLIENT_AUTH_METHODS = METHODS

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self._setting = setting

    def query_token(self, token_string: str, _hint: str | None) -> Family | None:
        """Return the session of an access token or a refresh token, if it is one of ours."""
        session = self._setting.writing
        access = _access(self._setting, token_string)
        row = (
            wait(session.get, OAuthSession, access.session)
            if access
            else wait(sessions.of_refresh_token, session, token_string)
        )
        return Family(row) if row else None

    def revoke_token(self, token: Family, _request: WebRequest) -> None:
        """End the session."""
        wait(sessions.end, self._setting.writing, token.row.id)
        logged_out(self._setting, token.row)


async def describe(setting: Setting, token: str, asking: AccessToken | None) -> dict[str, Any]:
    """Return what RFC 7662 tells of an access token. A person learns of nobody's tokens but their own."""
    said = _access(setting, token)
    if said is None or (asking and asking.account != said.account):
        return {"active": False}
    known = await caller(setting.clinic.database, said.account, said.session)
    if known is None:
        return {"active": False}
    return {
        "active": True,
        "token_type": "Bearer",
        "iss": setting.tokens.issuer,
        "aud": setting.tokens.issuer,
        "sub": str(said.account),
        "client_id": said.client_id,
        "scope": said.scope,
        "iat": said.issued,
        "exp": said.expires,
    }


def _access(setting: Setting, token: str) -> AccessToken | None:
    try:
        return setting.tokens.verify(token)
    except Unauthenticated:
        return None
