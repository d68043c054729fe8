"""Authlib's authorization server at work in an async application (docs/adr/0005-authlib-adapter.md).

Authlib is synchronous and keeps its rules in classes; Confide is asynchronous and keeps its state in PostgreSQL.
So the protocol runs in a thread, inside one transaction, and reaches the database through the event loop. Authlib
turns a refusal into an answer before it comes back: the transaction then commits, and with it a revocation.
"""

from collections.abc import Sequence
from typing import Any, Final

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidClientError
from fastapi import Response
from fastapi.responses import JSONResponse

from api.oauth.clients import Client
from api.oauth.device_grant import DeviceGrant
from api.oauth.endpoints import Revocation
from api.oauth.grants import S256, CodeGrant, OwnGrant, RefreshGrant
from api.oauth.proof import METHOD, by_assertion
from api.oauth.request import Setting, WebRequest, wait
from records.identity.clients import SCOPES, find

NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Server(AuthorizationServer):  # type: ignore[misc]
    """The protocol of one request. It runs in a thread; all of it is Authlib's but what is said here."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(scopes_supported=SCOPES)
        self._setting = setting
        self.register_grant(CodeGrant, [S256()])
        self.register_grant(RefreshGrant)
        self.register_grant(OwnGrant)
        self.register_grant(DeviceGrant)
        self.register_client_auth_method(METHOD, by_assertion)
        self.register_endpoint(Revocation(setting))

    def authenticate_client(
        self, request: WebRequest, methods: Sequence[str], endpoint: str = "token"
    ) -> Client:
        """Return the client that proves itself; a name or a secret that is no text proves nothing."""
        try:
            client: Client = super().authenticate_client(request, methods, endpoint)
        except UnicodeDecodeError:
            raise InvalidClientError(status_code=401) from None
        return client

    def query_client(self, client_id: str) -> Client | None:
        """Return a registered client."""
        row = wait(find, self._setting.clinic.database, client_id)
        return Client(row) if row else None

    def validate_requested_scope(self, scope: str | None) -> None:
        """Unknown words are no error: the client gets less, and is told (RFC 6749 §3.3)."""

    def create_oauth2_request(self, request: WebRequest) -> WebRequest:
        """It is one already."""
        return request

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens: what matters is on the audit trail."""

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Response:
        """Return the web's answer. One that goes through the browser names its issuer (RFC 9207)."""
        sent = dict(headers) | NO_STORE
        if "Location" not in sent:
            return JSONResponse(body, status, sent)
        issuer = self._setting.tokens.issuer
        sent["Location"] = add_params_to_uri(sent["Location"], [("iss", issuer)])
        return Response(status_code=303, headers=sent)
