"""The steps of a login, a page each: name and password, a second factor where there is one, consent where it is due.

There is no cookie: all that a page knows travels in its form, signed where it matters. What the login is for (a code
for a client, tokens for a device) is its `end`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from fastapi import Request, Response

from api.oauth.page import foreign, ours, page
from api.oauth.passkey import Offer, any_passkey, passkey_of, proven
from api.oauth.progress import Progress, read, written
from api.oauth.request import Setting, WebRequest
from core.clock import now
from core.errors import Throttled
from records.identity import attempts, consents, factors
from records.identity.accounts import authenticate, welcome
from records.identity.events import refused
from records.identity.models import Account
from records.identity.tokens import MULTIPLE

TYPED: Final = ("username", "password", "code", "passkey", "login", "consent", "challenge")
"""What people type, what a page's script fills in, what a page carries for itself: no parameter of a request."""
_ANSWERS: Final = "yes", "no"
"""What says whether one lets an application in; anything else is not yet an answer."""


class Asking(StrEnum):
    """When consent is asked for."""

    NEVER = "never"
    ONCE = "once"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Visit:
    """One login under way: what was asked, where its forms go and what they carry, and what it is for."""

    asked: WebRequest
    action: str
    carried: Mapping[str, str]
    consent: Asking
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
        answer = show("login.html", visit, 401, _problem(typed))
        answer.headers["WWW-Authenticate"] = 'Form realm="Confide"'
        return answer
    if not progress.strong and await factors.enrolled(here.clinic, account.id):
        tried = "passkey" if typed["passkey"] else "code" if typed["code"] else ""
        method = await _second(visit, account) if tried else None
        if method is None:
            offer = await passkey_of(here, visit.carried, account.id)
            return show("second.html", visit, 401 if tried else 200, tried, progress, offer)
        progress = progress.second(method)
    if typed["consent"] not in _ANSWERS and await _must_ask(visit, account):
        return show("consent.html", visit, progress=progress)
    return await visit.end(progress, account, typed["consent"] != "no")


async def _must_ask(visit: Visit, account: Account) -> bool:
    """Tell whether consent is due: words that are new are asked about, and a device that nobody sees every time."""
    if visit.consent is not Asking.ONCE:
        return visit.consent is Asking.ALWAYS
    client, wanted = visit.asked.client, visit.asked.payload.scope
    scope = client.get_allowed_scope(wanted) or ""
    return not await consents.covers(visit.asked.setting.clinic, account.id, client.id, scope)


async def _identified(visit: Visit) -> Progress | None:
    """Return how far the login has come: what the form brought back, or a name and a password that are right."""
    here, typed = visit.asked.setting, visit.typed
    if typed["login"]:
        return read(here.tokens, typed["login"], visit.carried)
    if typed["passkey"]:
        proof = await proven(here, visit.carried, typed)
        return Progress(proof.account, now(), (proof.kind, MULTIPLE)) if proof else None
    found = await authenticate(here.clinic, typed["username"], typed["password"], here.origin)
    return Progress(found.id, now()) if found else None


async def _second(visit: Visit, account: Account) -> str | None:
    """Return by what the account's second factor was shown (`otp`, or a passkey's kind); None if it was not."""
    here, typed = visit.asked.setting, visit.typed
    if typed["passkey"]:
        proof = await proven(here, visit.carried, typed, account.id)
        return proof.kind if proof else None
    return "otp" if await _coded(here, account, typed["code"]) else None


async def _coded(here: Setting, account: Account, code: str) -> bool:
    """Tell whether a code is the account's second factor; tries are counted, and one that fails is kept."""
    counter = b"second factor" + account.id.bytes
    await attempts.count(here.clinic.database, counter, here.origin.network)
    async with here.clinic.database.transaction() as session:
        proof = await factors.prove(session, here.clinic, account.id, code)
    if proof is None:
        await here.clinic.trail.note(refused(account, here.origin, "second-factor"))
        return False
    await attempts.forget(here.clinic.database, counter, here.origin.network)
    return True


def _first_offer(visit: Visit, problem: str) -> Offer | None:
    """A wrong password is answered to the letter alike, whoever's it is not: without a challenge, which never is."""
    if problem in ("credentials", "throttled"):
        return None
    return any_passkey(visit.asked.setting, visit.carried)


def _problem(typed: Mapping[str, str]) -> str:
    """Return what kept somebody from being known: an old page, a passkey, a name and a password."""
    return "expired" if typed["login"] else "passkey" if typed["passkey"] else "credentials"


def show(
    name: str,
    visit: Visit,
    status: int = 200,
    problem: str = "",
    progress: Progress | None = None,
    offer: Offer | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """Return a page of the login. The first one offers any passkey, the second those of the account."""
    asked, carried = visit.asked, dict(visit.carried)
    if progress:
        carried["login"] = written(asked.setting.tokens, progress, visit.carried)
    values: dict[str, Any] = {
        "action": visit.action,
        "problem": problem,
        "client": asked.client.row.name,
        "scope": asked.client.get_allowed_scope(asked.payload.scope) or "",
        "hidden": carried,
        "offer": offer if progress else _first_offer(visit, problem),
        **(more or {}),
    }
    return page(name, status, redirect_uri=asked.payload.redirect_uri or "", **values)
