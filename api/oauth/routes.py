"""The endpoints of the authorization server (OAuth 2.1, OpenID Connect)."""

from collections.abc import Callable
from typing import Any, Final

from anyio import to_thread
from authlib.oauth2 import OAuth2Error
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api import deps, limits
from api.oauth import account, device, login, logout, metadata, par, passwords
from api.oauth.endpoints import describe
from api.oauth.grants import SECRETS
from api.oauth.request import WebRequest, parameters, setting
from api.oauth.server import NO_STORE, Server
from core.errors import Throttled, Unauthenticated
from records.identity.accounts import profile
from records.identity.tokens import AccessToken

router = APIRouter(tags=["oauth"], include_in_schema=False)
router.include_router(metadata.router)
router.include_router(login.router)
router.include_router(account.router)
router.include_router(passwords.router)
router.include_router(device.router)
router.include_router(logout.router)

_CORS: Final = {"Access-Control-Allow-Origin": "*"}


@router.post("/oauth/token")
async def token(request: Request) -> Response:
    """Exchange a code or a refresh token for tokens, or give a client one of its own."""
    answer = await _counted(request, Server.create_token_response)
    answer.headers.update(_CORS)
    return answer


@router.options("/oauth/token")
async def preflight() -> Response:
    """Let scripts of other origins ask for tokens: a public client proves itself by PKCE, not by origin."""
    allowed = {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "*"}
    return Response(status_code=204, headers=_CORS | allowed)


@router.post("/oauth/revoke")
async def revoke(request: Request) -> Response:
    """End the session behind an access token or a refresh token."""
    return await _protocol(request, _revoke)


@router.post("/oauth/par")
async def push(request: Request) -> Response:
    """Keep an authorization request under a name (RFC 9126)."""
    return await _counted(request, par.take)


@router.post("/oauth/device_authorization")
async def device_authorization(request: Request) -> Response:
    """Let a device wait for its owner to log it in (RFC 8628)."""
    try:
        return await _counted(request, device.ask)
    except OAuth2Error as error:
        return _refusal(error)


@router.post("/oauth/introspect")
async def introspect(request: Request) -> Response:
    """Tell what a token is worth, to a client with a secret or to the token's owner."""
    try:
        given = await parameters(request)
        asking = await _asking(request, given)
    except OAuth2Error as error:
        return _refusal(error)
    except Unauthenticated:
        return _unauthenticated()
    told = await describe(setting(request), given.get("token", ""), asking)
    return JSONResponse(told, headers=NO_STORE)


@router.get("/oauth/userinfo")
async def userinfo(request: Request) -> Response:
    """Tell who is behind the token, as far as its scope goes."""
    try:
        said, known = await deps.login(request)
    except Unauthenticated:
        return _unauthenticated()
    told: dict[str, Any] = {"sub": str(said.account)}
    if "profile" in said.scope.split():
        names = await profile(request.app.state.clinic.database, said.account)
        told |= {"roles": sorted(known.subject.roles)} | names
    return JSONResponse(told, headers=NO_STORE)


async def _counted(request: Request, act: Callable[[Server, WebRequest], Response]) -> Response:
    """Run an act that anybody may ask for, and that leaves a row or costs a signature: so often from one place."""
    try:
        return await _protocol(request, act, counted=True)
    except Throttled as error:
        wait = str(error.members["retry_after"])
        return JSONResponse({"error": "slow_down"}, 429, NO_STORE | {"Retry-After": wait})


async def _protocol(
    request: Request, act: Callable[[Server, WebRequest], Response], *, counted: bool = False
) -> Response:
    """Run one act of the protocol in a thread, within one transaction."""
    try:
        given = await parameters(request)
    except OAuth2Error as error:
        return _refusal(error)
    client = given.get("client_id", "")
    if counted:
        limits.of(request.app.state).client(request.scope, deps.origin(request).network, client)
    async with request.app.state.clinic.database.transaction() as session:
        here = setting(request, session, client)
        asked = WebRequest(request, given, here)
        return await to_thread.run_sync(act, Server(here), asked)


def _revoke(server: Server, asked: WebRequest) -> Response:
    answer: Response = server.create_endpoint_response("revocation", asked)
    return answer


async def _asking(request: Request, given: dict[str, str]) -> AccessToken | None:
    """Return whose bearer token asks, or None for a client that proved itself."""
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return (await deps.login(request))[0]
    here = setting(request)
    asked = WebRequest(request, given, here)
    await to_thread.run_sync(Server(here).authenticate_client, asked, SECRETS, "introspection")
    return None


def _refusal(error: OAuth2Error) -> Response:
    status, body, headers = error()
    return JSONResponse(dict(body), status, dict(headers) | NO_STORE)


def _unauthenticated() -> Response:
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'} | NO_STORE
    return JSONResponse({"error": "invalid_token"}, 401, headers)
