"""The steps of a login, a page each: name and password, a second factor where there is one, consent where it is due.

There is no cookie: all that a page knows travels in its form, signed where it matters. What the login is for (a code
for a client, tokens for a device) is its `end`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Request, Response

from api.oauth.page import foreign, ours, page
from api.oauth.progress import Progress, read, written
from api.oauth.request import Setting, WebRequest
from core.clock import now
from core.errors import Throttled
from records.identity import factors
from records.identity.accounts import authenticate, refused, welcome
from records.identity.attempts import attempts
from records.identity.models import Account

TYPED: Final = ("username", "password", "code", "login", "consent")
"""What people type, and what a page carries for itself: no parameter of a request."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One login under way: what was asked, where its forms go and what they carry, and what it is for."""

    asked: WebRequest
    action: str
    carried: Mapping[str, str]
    consent: bool
    end: Callable[[Progress, Account, bool], Awaitable[Response]]
    typed: Mapping[str, str] = field(default_factory=dict)


async def step(request: Request, visit: Visit) -> Response:
    """Answer a form: with the next page, or with what the login is for."""
    if not ours(request):
        return foreign()
    try:
        return await _go_on(visit)
    except Throttled as error:
        answer = show("login.html", visit, 429, "throttled")
        answer.headers["Retry-After"] = str(error.members["retry_after"])
        return answer


async def _go_on(visit: Visit) -> Response:
    here, typed = visit.asked.setting, visit.typed
    progress = await _identified(visit)
    account = await welcome(here.clinic, progress.account) if progress else None
    if progress is None or account is None:
        answer = show("login.html", visit, 401, "expired" if typed["login"] else "credentials")
        answer.headers["WWW-Authenticate"] = 'Form realm="Confide"'
        return answer
    if not progress.strong and await factors.enrolled(here.clinic, account.id):
        if not typed["code"]:
            return show("second.html", visit, progress=progress)
        if not await _second(here, account, typed["code"]):
            return show("second.html", visit, 401, "code", progress)
        progress = progress.second()
    if visit.consent and not typed["consent"]:
        return show("consent.html", visit, progress=progress)
    return await visit.end(progress, account, typed["consent"] != "no")


async def _identified(visit: Visit) -> Progress | None:
    """Return how far the login has come: what the form brought back, or a name and a password that are right."""
    here, typed = visit.asked.setting, visit.typed
    if typed["login"]:
        return read(here.tokens, typed["login"], visit.carried)
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


def show(
    name: str, visit: Visit, status: int = 200, problem: str = "", progress: Progress | None = None
) -> Response:
    """Return a page of the login."""
    asked, carried = visit.asked, dict(visit.carried)
    if progress:
        carried["login"] = written(asked.setting.tokens, progress, visit.carried)
    values: dict[str, Any] = {
        "action": visit.action,
        "problem": problem,
        "client": asked.client.row.name,
        "scope": asked.client.get_allowed_scope(asked.payload.scope) or "",
        "hidden": carried,
    }
    return page(name, status, redirect_uri=asked.payload.redirect_uri or "", **values)
