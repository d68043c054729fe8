"""The authorization endpoint: a login by way of the browser, and the code that it ends in.

A form that another site sends is refused by what the browser says of its origin (Fetch Metadata).
"""

from typing import Any

from anyio import to_thread
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from api.oauth.page import PAGES, page
from api.oauth.progress import Progress
from api.oauth.request import WebRequest, parameters, setting
from api.oauth.server import Server
from api.oauth.steps import TYPED, Asking, Visit, show, step
from records.identity import consents, pushed
from records.identity.events import logged_in
from records.identity.models import Account

router = APIRouter()


@router.get("/oauth/style.css")
async def style() -> Response:
    """Return the pages' style sheet."""
    return FileResponse(PAGES / "style.css", headers={"Cache-Control": "public, max-age=3600"})


@router.get("/oauth/passkey.js")
async def script() -> Response:
    """Return the pages' one script: it fills a form in by a passkey. All else works without."""
    return FileResponse(PAGES / "passkey.js", headers={"Cache-Control": "public, max-age=3600"})


@router.api_route("/oauth/authorize", methods=["GET", "POST"])
async def authorize(request: Request) -> Response:
    """Show the login page; with what was typed into it, go on, and in the end send the code to the client."""
    try:
        carried = await parameters(request, query=True)
        typed = {name: carried.pop(name, "") for name in TYPED}
        asked = await _asked(request, carried)
        grant = await to_thread.run_sync(Server(asked.setting).get_consent_grant, asked)
    except OAuth2Error as error:
        return _refuse(request, error)

    async def end(progress: Progress, account: Account, agreed: bool) -> Response:
        asked.progress = progress
        lent = _lends(asked) and typed["consent"] == "yes"
        return await _grant(request, grant, account, carried, agreed=agreed, lent=lent)

    visit = Visit(asked, "/oauth/authorize", carried, _asking(asked), end, typed)
    if request.method == "GET" or not any(typed[name] for name in TYPED if name != "challenge"):
        return show("login.html", visit)
    return await step(request, visit)


def _asking(asked: WebRequest) -> Asking:
    """Nobody lends anything to our own applications, and to others only what they have agreed to."""
    if not _lends(asked):
        return Asking.NEVER
    prompt = (asked.payload.data.get("prompt") or "").split()
    return Asking.ALWAYS if "consent" in prompt else Asking.ONCE


def _lends(asked: WebRequest) -> bool:
    row = asked.client.row
    return row.registered_by is not None and not row.first_party


async def _asked(request: Request, carried: dict[str, str]) -> WebRequest:
    """Return what is asked for: what the browser brought, or what its client has pushed under a name."""
    client, name = carried.get("client_id", ""), carried.get("request_uri")
    here, given = setting(request, client=client), carried
    if name:
        found = await pushed.pulled(here.clinic.database, client, name)
        if found is None:
            raise InvalidRequestError("request_uri names no request of this client.")
        given = found
    return WebRequest(request, given, here)


async def _grant(
    request: Request,
    grant: Any,
    account: Account,
    carried: dict[str, str],
    *,
    agreed: bool,
    lent: bool,
) -> Response:
    """Answer the client; what was lent just now, and was not lent before, is remembered."""
    asked = grant.request
    async with asked.setting.clinic.database.transaction() as session:
        asked.setting = here = setting(request, session, asked.client.id)
        if agreed:
            event = logged_in(account, here.origin, asked.progress.amr)
            await here.clinic.trail.note_within(session, event)
            if lent:
                its = account.id, asked.client.id
                scope = asked.client.get_allowed_scope(asked.payload.scope) or ""
                await consents.remember(session, *its, scope)
        if "request_uri" in carried:
            await pushed.use_up(session, carried["request_uri"])
        answer: Response = await to_thread.run_sync(
            lambda: Server(here).create_authorization_response(
                asked, account if agreed else None, grant
            )
        )
        return answer


def _refuse(request: Request, error: OAuth2Error) -> Response:
    """Tell the client where it may be told, and nobody but the person where it may not (RFC 6749 §4.1.2.1)."""
    if error.redirect_uri:
        answer: Response = Server(setting(request)).handle_error_response(None, error)
        return answer
    detail = error.get_error_description()
    return page("refused.html", 400, reason=error.error, detail=detail)
