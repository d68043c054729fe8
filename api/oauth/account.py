"""The page where people keep their passkeys and what applications may do: it asks for a login like any application, and has no cookie either."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.oauth.clients import Client
from api.oauth.page import foreign, ours
from api.oauth.progress import Progress
from api.oauth.request import WebRequest, parameters, setting
from api.oauth.steps import TYPED, Asking, Visit, show, step
from core.clock import now
from core.errors import Conflict, DomainError, Invalid, NotFound
from records.access.me import Me
from records.clinic import Clinic
from records.identity import consents, passkeys
from records.identity.accounts import logged_in
from records.identity.callers import account_as_caller
from records.identity.challenges import challenge, spent
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
        if not typed["login"] or given.get("act", "") not in _ACTS:
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
        if given.get("act") in _ACTS:
            async with here.clinic.database.transaction() as session:
                told = await _ACTS[given["act"]](session, here.clinic, me, visit, given)
    except (Conflict, Invalid, NotFound) as error:
        problem = _said(error)
    site, asked = Site.of(here.tokens.issuer), challenge(here.tokens, f"enrol {account.id}")
    shown: dict[str, Any] = {
        "passkeys": await passkeys.own_passkeys(here.clinic, account.id),
        "applications": await consents.own_applications(here.clinic, account.id),
        "options": await passkeys.creation(here.clinic, site, account.id, asked.signed),
        "challenge": asked.text,
        "codes": told.get("codes"),
    }
    return show("account.html", visit, 409 if problem else 200, problem, progress, more=shown)


async def _add(
    session: AsyncSession, clinic: Clinic, me: Me, visit: Visit, given: Mapping[str, str]
) -> dict[str, Any]:
    tokens = visit.asked.setting.tokens
    purpose = f"enrol {me.subject.id}"
    asked = await spent(session, tokens, visit.typed["challenge"], purpose)
    if asked is None:
        raise Invalid("the page was open for too long")
    its = Site.of(tokens.issuer), asked.signed, visit.typed["passkey"], _name(given)
    _, codes = await passkeys.enrol(session, clinic, me, *its)
    return {"codes": codes}


async def _rename(
    session: AsyncSession, clinic: Clinic, me: Me, _visit: Visit, given: Mapping[str, str]
) -> dict[str, Any]:
    await passkeys.rename(session, clinic, me, _id(given), None, _name(given))
    return {}


async def _remove(
    session: AsyncSession, clinic: Clinic, me: Me, _visit: Visit, given: Mapping[str, str]
) -> dict[str, Any]:
    await passkeys.remove(session, clinic, me, _id(given), None)
    return {}


async def _withdraw(
    session: AsyncSession, clinic: Clinic, me: Me, _visit: Visit, given: Mapping[str, str]
) -> dict[str, Any]:
    await consents.withdraw(session, clinic, me, given.get("id", ""))
    return {}


Act = Callable[[AsyncSession, Clinic, Me, Visit, Mapping[str, str]], Awaitable[dict[str, Any]]]
_ACTS: Final[Mapping[str, Act]] = {
    "add": _add,
    "rename": _rename,
    "remove": _remove,
    "withdraw": _withdraw,
}


def _name(given: Mapping[str, str]) -> str:
    name = given.get("name", "").strip()[: passkeys.LONGEST_NAME]
    return name or "Passkey"


def _id(given: Mapping[str, str]) -> UUID:
    try:
        return UUID(given.get("id", ""))
    except ValueError:
        raise NotFound from None


def _said(error: DomainError) -> str:
    return error.detail or (error.errors[0].message if error.errors else error.code)
