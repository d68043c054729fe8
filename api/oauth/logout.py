"""RP-initiated logout (OpenID Connect): the session that an ID token is of ends, wherever the browser is sent then."""

from typing import Any
from uuid import UUID

from authlib.common.urls import add_params_to_uri
from authlib.oauth2 import OAuth2Error
from fastapi import APIRouter, Request, Response

from api.oauth.events import note_logout
from api.oauth.page import page
from api.oauth.request import parameters, setting
from api.oauth.server import NO_STORE
from core.crypto.signing import BadToken
from records.identity import sessions
from records.identity.clients import find
from records.identity.models import OAuthSession
from records.identity.tokens import ID

router = APIRouter()


@router.api_route("/oauth/end_session", methods=["GET", "POST"])
async def end_session(request: Request) -> Response:
    """End the session of an ID token, and send the browser to an address that its client has registered."""
    try:
        given = await parameters(request, query=True)
        said = _hint(request, given.get("id_token_hint", ""))
    except (OAuth2Error, BadToken):
        return _refused("The hint is no ID token of ours.")
    if said and given.get("client_id", said["aud"]) != said["aud"]:
        return _refused("The hint is another client's.")
    if said is None:
        return page("ended.html", ended=False)
    await _end(request, said)
    client = await find(request.app.state.clinic.database, said["aud"])
    target = given.get("post_logout_redirect_uri", "")
    if client and target in client.post_logout_redirect_uris:
        state = [("state", given["state"])] if "state" in given else []
        location = add_params_to_uri(target, state) if state else target
        return Response(status_code=303, headers={"Location": location} | NO_STORE)
    return page("ended.html", ended=True)


def _refused(detail: str) -> Response:
    return page("refused.html", 400, reason="invalid_request", detail=detail)


def _hint(request: Request, token: str) -> dict[str, Any] | None:
    """Return what an ID token of ours says, expired or not (OpenID Connect RP-Initiated Logout §2)."""
    return setting(request).tokens.keys.verify(token, ID) if token else None


async def _end(request: Request, said: dict[str, Any]) -> None:
    async with request.app.state.clinic.database.transaction() as session:
        here = setting(request, session, said["aud"])
        family = await session.get(OAuthSession, UUID(said["sid"]))
        if family is not None and family.revoked_at is None:
            await sessions.end(session, family.id)
            await note_logout(here, family)
