"""`private_key_jwt`: a client proves itself by an assertion it signed (RFC 7523)."""

from typing import Any, Final

from api.oauth.clients import Client
from api.oauth.request import WebRequest, wait
from records.identity.assertions import proven
from records.identity.models import ClientAuth

METHOD: Final = str(ClientAuth.PRIVATE_KEY_JWT)
_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def by_assertion(_query: Any, request: WebRequest) -> Client | None:
    """Return the client that an assertion proves; None without one, or for one that proves nothing."""
    given, setting = request.payload.data, request.setting
    if given.get("client_assertion_type") != _TYPE:
        return None
    issuer, shown = setting.tokens.issuer, given.get("client_assertion", "")
    ours = (issuer, f"{issuer}/oauth/token", request.uri)
    row = wait(proven, setting.writing, setting.clinic, shown, ours, setting.reach)
    return Client(row) if row and given.get("client_id", row.id) == row.id else None
