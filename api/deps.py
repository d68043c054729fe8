"""What a route asks for by type: the clinic, who asks, a transaction.

Each is one function that reads the request by itself: every sub-dependency FastAPI resolves costs as much as the
whole of `me` does on a warm cache.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address, ip_network
from time import time
from typing import Annotated, Final

from fastapi import Depends, Request

from api import limits
from api.middleware import template
from api.scopes import needs
from core.database import Session
from core.errors import BadRequest, FieldError, StepUp, Unauthenticated
from core.settings import Settings, StepUpRule
from records.access import me as access
from records.audit.event import Origin
from records.clinic import Clinic as OneClinic
from records.identity.callers import Caller, caller, environment
from records.identity.cap import capped
from records.identity.clients import scope_of
from records.identity.tokens import STRONG, AccessToken, Tokens

PURPOSE: Final = "X-Purpose-Of-Use"


def clinic(request: Request) -> OneClinic:
    """Return the clinic this application serves."""
    found: OneClinic = request.app.state.clinic
    return found


def tokens(request: Request) -> Tokens:
    """Return the issuer and verifier of this application's tokens."""
    state = request.app.state
    if not hasattr(state, "tokens"):
        state.tokens = Tokens.of(state.settings)
    found: Tokens = state.tokens
    return found


def bearer(request: Request) -> AccessToken:
    """Return the verified token of a request; raise Unauthenticated if there is no good one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("an access token is needed", code="missing-token")
    return tokens(request).verify(token.strip())


def origin(request: Request, client: str = "") -> Origin:
    """Return where an act comes from: the route's template, never a path with ids in it."""
    scope = request.scope
    return Origin(
        endpoint=f"{scope['method']} {template(scope)}",
        request_id=scope.get("request_id", ""),
        network=network(request.client.host) if request.client else "",
        client=client,
    )


@lru_cache(maxsize=4096)
def network(host: str) -> str:
    """Return the network of an address, /24 or /48: near enough for an alarm, too far for a person."""
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    bits = 24 if address.version == 4 else 48  # noqa: PLR2004
    return str(ip_network(f"{address}/{bits}", strict=False))


async def login(request: Request) -> tuple[AccessToken, Caller]:
    """Return the token of a request, and whose it is as the database knows them now; raise Unauthenticated for nobody's."""
    token = bearer(request)
    known = await caller(request.app.state.clinic.database, token.account, token.session)
    if known is None:
        raise Unauthenticated("this login has ended")
    return token, known


async def me(request: Request) -> access.Me:
    """Return who asks."""
    token, known = await login(request)
    counted = limits.of(request.app.state)
    counted.caller(request.scope, token.account)
    if request.scope["path"] in limits.SEARCHES:
        await counted.search(clinic(request).database, request.scope, token.account)
    usual = access.Me(
        known.subject,
        known.environment,
        origin(request, token.client_id),
        token.session,
        scope_of(token.client_id, token.scope),
    )
    if usual.scope:
        await capped(clinic(request), usual, needs()[request.scope["route"].operation_id])
    stated = request.headers.get(PURPOSE)
    return usual if stated is None else await _for(request, usual, stated)


async def stepped_up(request: Request) -> None:
    """Refuse, for a grave act, a login that is old or had one factor, where the settings want more (RFC 9470)."""
    chosen: Settings = request.app.state.settings
    token, known = await login(request)
    wanted = chosen.step_up is StepUpRule.ALWAYS or (
        chosen.step_up is StepUpRule.ENROLLED and known.two_factors
    )
    fresh = token.auth_time > time() - chosen.step_up_seconds
    if wanted and not (fresh and token.acr == STRONG):
        raise StepUp(
            "log in again, with a second factor", max_age=chosen.step_up_seconds, acr_values=STRONG
        )


async def recent(request: Request) -> None:
    """Refuse an old login, whatever its strength: a token that lay about must not enrol somebody else's app."""
    chosen: Settings = request.app.state.settings
    if bearer(request).auth_time <= time() - chosen.step_up_seconds:
        raise StepUp("log in again", max_age=chosen.step_up_seconds)


STEP_UP: Final = Depends(stepped_up)
"""For the `dependencies` of a route whose act is grave: break-glass, rules, keys, exports."""


async def _for(request: Request, usual: access.Me, purpose: str) -> access.Me:
    """Return the caller with the purpose they state, if a role of theirs may claim it."""
    try:
        claimed = environment(purpose, usual.subject.roles)
    except ValueError:
        fault = FieldError(f"/{PURPOSE.lower()}", "purpose", "this is no purpose of use we know")
        raise BadRequest(code="bad-parameter", errors=[fault]) from None
    if claimed is None:
        await clinic(request).gate.misclaimed(usual)
    return replace(usual, environment=claimed)


async def transaction(request: Request) -> AsyncIterator[Session]:
    """Yield the request's transaction: committed before the answer leaves, rolled back by any error."""
    async with request.app.state.clinic.database.transaction() as session:
        yield session


async def _clinic(request: Request) -> OneClinic:
    return clinic(request)  # async, for FastAPI would send a plain function to a thread


Clinic = Annotated[OneClinic, Depends(_clinic)]
Me = Annotated[access.Me, Depends(me)]
Transaction = Annotated[Session, Depends(transaction, scope="function")]
