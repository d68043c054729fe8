"""Pushed authorization requests (RFC 9126)."""

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError
from fastapi import Response
from fastapi.responses import JSONResponse

from api.oauth.grants import METHODS
from api.oauth.request import Payload, WebRequest, wait
from api.oauth.server import NO_STORE, Server
from records.identity.pushed import LIFE, push

_PROOF = ("client_secret", "client_assertion", "client_assertion_type")


def take(server: Server, asked: WebRequest) -> Response:
    """Check a request as the authorization endpoint will, and keep it; a refusal is told here, not by a redirect."""
    try:
        client = server.authenticate_client(asked, METHODS, "pushed_authorization_request")
        given = {k: v for k, v in asked.payload.data.items() if k not in _PROOF}
        if "request_uri" in given:
            raise InvalidRequestError("request_uri has no place in a pushed request.")
        given["client_id"] = client.id
        asked.payload = Payload(given)
        server.get_consent_grant(asked)
    except OAuth2Error as error:
        body = {"error": error.error, "error_description": error.get_error_description()}
        return JSONResponse(body, error.status_code, NO_STORE)
    name = wait(push, asked.setting.writing, client.id, given)
    told = {"request_uri": name, "expires_in": int(LIFE.total_seconds())}
    return JSONResponse(told, 201, NO_STORE)
