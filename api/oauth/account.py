"""The page where people keep their second factors and what applications may do.

It asks for a login like any application, and has no cookie either.
"""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from api.oauth.acts import ACTS
from api.oauth.clients import Client
from api.oauth.page import foreign, ours, readable
from api.oauth.progress import Progress
from api.oauth.request import WebRequest, parameters, setting
from api.oauth.steps import TYPED, Asking, Visit, show, step
from core.clock import now
from core.errors import Conflict, DomainError, Invalid, NotFound
from records.access.me import Me
from records.identity import consents, factors, passkeys
from records.identity.callers import account_as_caller
from records.identity.challenges import challenge
from records.identity.events import logged_in
from records.identity.models import Account, OAuthClient
from records.identity.passkeys import Site

router = APIRouter()

PAGE: Final = "/oauth/account"
_CLIENT: Final = "confide-account"
"""How the trail names this page. No such client is registered, so no other login is good for it."""
_CARRIED: Final = {"client_id": _CLIENT}


@router.get(PAGE)
async def enter(request: Request) -> Response:
    """Ask who it is."""
    return show("login.html", _visit(request, {}))


@router.post(PAGE)
@readable
async def act(request: Request) -> Response:
    """Log somebody in; then do what they ask of their account, and show it."""
    if not ours(request):
        return foreign()
    return await step(request, _visit(request, await parameters(request)))


def _visit(request: Request, given: Mapping[str, str]) -> Visit:
    asked = WebRequest(request, {}, setting(request, client=_CLIENT))
    asked.client = Client(OAuthClient(id=_CLIENT, name="your account"))
    typed = {name: given.get(name, "") for name in TYPED}

    async def end(progress: Progress, account: Account, _agreed: bool) -> Response:
        oldest = now().timestamp() - request.app.state.settings.step_up_seconds
        if progress.auth_time.timestamp() < oldest:
            return show("login.html", visit, 401, "expired")
        if not typed["login"] or given.get("act", "") not in ACTS:
            await asked.setting.clinic.trail.note(
                logged_in(account, asked.setting.origin, progress.amr)
            )
        return await _kept(visit, progress, account, given)

    visit = Visit(asked, PAGE, _CARRIED, Asking.NEVER, end, typed)
    return visit


async def _kept(
    visit: Visit, progress: Progress, account: Account, given: Mapping[str, str]
) -> Response:
    """Do what a form asks for, and show how things stand then."""
    here, told, problem = visit.asked.setting, {}, ""
    known = await account_as_caller(here.clinic.database, account.id)
    assert known is not None
    me = Me(known.subject, known.environment, here.origin)
    try:
        if given.get("act") in ACTS:
            async with here.clinic.database.transaction() as session:
                told = await ACTS[given["act"]](session, here.clinic, me, visit, given)
    except (Conflict, Invalid, NotFound) as error:
        problem = _said(error)
    site, asked = Site.of(here.tokens.issuer), challenge(here.tokens, f"enrol {account.id}")
    shown: dict[str, Any] = {
        "passkeys": await passkeys.own_passkeys(here.clinic, account.id),
        "applications": await consents.own_applications(here.clinic, account.id),
        "options": await passkeys.creation(here.clinic, site, account.id, asked.signed),
        "challenge": asked.text,
        "factors": await factors.state(here.clinic, account.id),
        "app_code": problem and given.get("act") == "confirm-app",
        **{name: told.get(name) for name in ("seed", "picture", "codes")},
    }
    return show("account.html", visit, 409 if problem else 200, problem, progress, more=shown)


def _said(error: DomainError) -> str:
    return error.detail or (error.errors[0].message if error.errors else error.code)
