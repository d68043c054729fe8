"""The login page, and what comes of it: a code, by way of the browser.

There is no cookie: each authorization is a login of its own, and all that the page knows travels in its form. A
form that another site sends is refused by what the browser says of its origin (Fetch Metadata).
"""

from typing import Any, Final

from anyio import to_thread
from authlib.oauth2 import OAuth2Error
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from api.oauth.grants import CodeGrant
from api.oauth.page import PAGES, foreign, ours, page
from api.oauth.request import WebRequest, parameters, setting
from api.oauth.server import Server
from core.errors import Throttled
from records.identity.accounts import authenticate
from records.identity.models import Account

router = APIRouter()

_TYPED: Final = ("username", "password")


@router.get("/oauth/style.css")
async def style() -> Response:
    """Return the pages' style sheet."""
    return FileResponse(PAGES / "style.css", headers={"Cache-Control": "public, max-age=3600"})


@router.api_route("/oauth/authorize", methods=["GET", "POST"])
async def authorize(request: Request) -> Response:
    """Show the login page; with a name and a password, log in and send the code to the client."""
    try:
        given = await parameters(request, query=True)
        typed = {name: given.pop(name, "") for name in _TYPED}
        asked = WebRequest(request, given, setting(request, client=given.get("client_id", "")))
        grant = await to_thread.run_sync(Server(asked.setting).get_consent_grant, asked)
    except OAuth2Error as error:
        return _refuse(request, error)
    if request.method == "GET" or not any(typed.values()):
        return _login(grant)
    if not ours(request):
        return foreign()
    return await _log_in(request, grant, **typed)


async def _log_in(request: Request, grant: Any, username: str, password: str) -> Response:
    here = grant.request.setting
    try:
        account = await authenticate(here.clinic, username, password, here.origin)
    except Throttled as error:
        wait = str(error.members["retry_after"])
        return _login(grant, 429, "throttled", {"Retry-After": wait})
    if account is None:
        return _login(grant, 401, "credentials", {"WWW-Authenticate": 'Form realm="Confide"'})
    return await _grant(request, grant, account)


async def _grant(request: Request, grant: CodeGrant, account: Account) -> Response:
    asked = grant.request
    async with asked.setting.clinic.database.transaction() as session:
        here = setting(request, session, asked.client.id)
        asked.setting = here
        answer: Response = await to_thread.run_sync(
            lambda: Server(here).create_authorization_response(asked, account, grant)
        )
        return answer


def _login(
    grant: Any, status: int = 200, problem: str = "", headers: dict[str, str] | None = None
) -> Response:
    asked = grant.request
    answer = page(
        "login.html",
        status,
        redirect_uri=asked.payload.redirect_uri,
        problem=problem,
        client=asked.client.row.name,
        hidden=asked.payload.data,
    )
    answer.headers.update(headers or {})
    return answer


def _refuse(request: Request, error: OAuth2Error) -> Response:
    """Tell the client where it may be told, and nobody but the person where it may not (RFC 6749 §4.1.2.1)."""
    if error.redirect_uri:
        answer: Response = Server(setting(request)).handle_error_response(None, error)
        return answer
    detail = error.get_error_description()
    return page("refused.html", 400, reason=error.error, detail=detail)
