"""The pages of a login, and what comes of it: a code, by way of the browser.

Name and password, a second factor where there is one, consent where the client is not ours. There is no cookie: each
authorization is a login of its own, and all that a page knows travels in its form. A form that another site sends is
refused by what the browser says of its origin (Fetch Metadata).
"""

from typing import Any, Final

from anyio import to_thread
from authlib.oauth2 import OAuth2Error
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from api.oauth.grants import CodeGrant
from api.oauth.page import PAGES, foreign, ours, page
from api.oauth.progress import Progress, read, written
from api.oauth.request import Setting, WebRequest, parameters, setting
from api.oauth.server import Server
from core.clock import now
from core.errors import Throttled
from records.identity import factors
from records.identity.accounts import authenticate, logged_in, refused, welcome
from records.identity.attempts import attempts
from records.identity.models import Account

router = APIRouter()

_TYPED: Final = ("username", "password", "code", "login", "consent")


@router.get("/oauth/style.css")
async def style() -> Response:
    """Return the pages' style sheet."""
    return FileResponse(PAGES / "style.css", headers={"Cache-Control": "public, max-age=3600"})


@router.api_route("/oauth/authorize", methods=["GET", "POST"])
async def authorize(request: Request) -> Response:
    """Show the login page; with what was typed into it, go on, and in the end send the code to the client."""
    try:
        given = await parameters(request, query=True)
        typed = {name: given.pop(name, "") for name in _TYPED}
        asked = WebRequest(request, given, setting(request, client=given.get("client_id", "")))
        grant = await to_thread.run_sync(Server(asked.setting).get_consent_grant, asked)
    except OAuth2Error as error:
        return _refuse(request, error)
    if request.method == "GET" or not any(typed.values()):
        return _show("login.html", grant)
    if not ours(request):
        return foreign()
    try:
        return await _go_on(request, grant, typed)
    except Throttled as error:
        answer = _show("login.html", grant, 429, "throttled")
        answer.headers["Retry-After"] = str(error.members["retry_after"])
        return answer


async def _go_on(request: Request, grant: Any, typed: dict[str, str]) -> Response:
    """Take one step of the login, and show the next page or send the code."""
    asked, here = grant.request, grant.request.setting
    progress = await _identified(here, asked, typed)
    account = await welcome(here.clinic, progress.account) if progress else None
    if progress is None or account is None:
        problem = "expired" if typed["login"] else "credentials"
        answer = _show("login.html", grant, 401, problem)
        answer.headers["WWW-Authenticate"] = 'Form realm="Confide"'
        return answer
    if not progress.strong and await factors.enrolled(here.clinic, account.id):
        if not typed["code"]:
            return _show("second.html", grant, progress=progress)
        if not await _second(here, account, typed["code"]):
            return _show("second.html", grant, 401, "code", progress)
        progress = progress.second()
    if asked.client.row.registered_by and not typed["consent"]:
        return _show("consent.html", grant, progress=progress)
    asked.progress = progress
    return await _grant(request, grant, account, agreed=typed["consent"] != "no")


async def _identified(here: Setting, asked: WebRequest, typed: dict[str, str]) -> Progress | None:
    """Return how far the login has come: what the form brought back, or a name and a password that are right."""
    if typed["login"]:
        return read(here.tokens, typed["login"], asked.payload)
    found = await authenticate(here.clinic, typed["username"], typed["password"], here.origin)
    return Progress(found.id, now()) if found else None


async def _second(here: Setting, account: Account, code: str) -> bool:
    """Tell whether a code is the account's second factor; tries are counted, and one that fails is kept."""
    counter = b"second factor" + account.id.bytes
    attempts.count(counter, here.origin.network)
    async with here.clinic.database.transaction() as session:
        proof = await factors.prove(session, here.clinic, account.id, code)
    if proof is None:
        await here.clinic.trail.note(refused(account, here.origin, "second-factor"))
        return False
    attempts.forget(counter, here.origin.network)
    return True


async def _grant(request: Request, grant: CodeGrant, account: Account, *, agreed: bool) -> Response:
    asked = grant.request
    async with asked.setting.clinic.database.transaction() as session:
        asked.setting = here = setting(request, session, asked.client.id)
        if agreed:
            event = logged_in(account, here.origin, asked.progress.amr)
            await here.clinic.trail.note_within(session, event)
        answer: Response = await to_thread.run_sync(
            lambda: Server(here).create_authorization_response(
                asked, account if agreed else None, grant
            )
        )
        return answer


def _show(
    name: str, grant: Any, status: int = 200, problem: str = "", progress: Progress | None = None
) -> Response:
    asked = grant.request
    carried = dict(asked.payload.data)
    if progress:
        carried["login"] = written(asked.setting.tokens, progress, asked.payload)
    return page(
        name,
        status,
        redirect_uri=asked.payload.redirect_uri,
        problem=problem,
        client=asked.client.row.name,
        scope=asked.client.get_allowed_scope(asked.payload.scope) or "",
        hidden=carried,
    )


def _refuse(request: Request, error: OAuth2Error) -> Response:
    """Tell the client where it may be told, and nobody but the person where it may not (RFC 6749 §4.1.2.1)."""
    if error.redirect_uri:
        answer: Response = Server(setting(request)).handle_error_response(None, error)
        return answer
    detail = error.get_error_description()
    return page("refused.html", 400, reason=error.error, detail=detail)
