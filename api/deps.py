"""What a route asks for by type: the clinic, who asks, a transaction.

Each is one function that reads the request by itself: every sub-dependency FastAPI resolves costs as much as the
whole of `me` does on a warm cache.
"""

from collections.abc import AsyncIterator
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Annotated, Final

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from api import limits
from api.middleware import template
from core.errors import BadRequest, FieldError, Unauthenticated
from policies.facts import Environment
from policies.vocabulary import Purpose
from records.access import me as access
from records.audit.event import Origin
from records.clinic import Clinic as OneClinic
from records.identity.callers import caller, environment
from records.identity.clients import scope_of
from records.identity.tokens import AccessToken, Tokens

PURPOSE: Final = "X-Purpose-Of-Use"
SECURITY_SCHEMES: Final = {
    "oauth2": {
        "type": "oauth2",
        "description": "Authorization code with PKCE (S256).",
        "flows": {
            "authorizationCode": {
                "authorizationUrl": "/oauth/authorize",
                "tokenUrl": "/oauth/token",
                "refreshUrl": "/oauth/token",
                "scopes": {"openid": "who you are", "profile": "your name"},
            }
        },
    },
    "openIdConnect": {
        "type": "openIdConnect",
        "openIdConnectUrl": "/.well-known/openid-configuration",
    },
}
"""For `components.securitySchemes` of the OpenAPI document; every /v1 route needs one of them."""
PURPOSE_PARAMETER: Final = {
    "name": PURPOSE,
    "in": "header",
    "required": False,
    "description": "Why you ask (HL7 PurposeOfUse). What is usual for your role, if absent.",
    "schema": {"type": "string", "enum": [purpose.value for purpose in Purpose]},
}
"""For the `parameters` of every /v1 route in the OpenAPI document."""


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


async def me(request: Request) -> access.Me:
    """Return who asks, as the database knows them now."""
    token = bearer(request)
    known = await caller(request.app.state.clinic.database, token.account, token.session)
    if known is None:
        raise Unauthenticated("this login has ended")
    limits.of(request.app.state).caller(request.scope, token.account)
    stated = request.headers.get(PURPOSE)
    return access.Me(
        known.subject,
        _stated(stated) if stated else known.environment,
        origin(request, token.client_id),
        token.session,
        scope_of(token.client_id, token.scope),
    )


def _stated(purpose: str) -> Environment:
    try:
        return environment(purpose)
    except ValueError:
        fault = FieldError(PURPOSE, "purpose", "this is no purpose of use we know")
        raise BadRequest(code="bad-parameter", errors=[fault]) from None


async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """Yield the request's transaction: committed before the answer leaves, rolled back by any error."""
    async with request.app.state.clinic.database.transaction() as session:
        yield session


async def _clinic(request: Request) -> OneClinic:
    return clinic(request)  # async, for FastAPI would send a plain function to a thread


Clinic = Annotated[OneClinic, Depends(_clinic)]
Me = Annotated[access.Me, Depends(me)]
Transaction = Annotated[AsyncSession, Depends(transaction, scope="function")]
