"""The registry of OAuth clients, kept by administrators. A secret is shown once; of it the SHA-256 is kept.

A client that asks for itself (client credentials) acts as an account of its own, with roles like a person's.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.crypto.assertions import public_keys
from core.errors import FieldError, Invalid, PreconditionFailed
from core.ids import new_id
from policies.facts import Resource
from policies.scopes import parse
from policies.vocabulary import UNNAMED, Action, ResourceType, Role
from records.access.me import Me
from records.base import add, table_of
from records.clinic import Clinic
from records.identity import sessions
from records.identity.clients import SCOPES, may_redirect
from records.identity.commands import NO_PASSWORD
from records.identity.keysets import forget
from records.identity.models import Account, ClientAuth, OAuthClient

ITSELF: Final = "client_credentials"
WITH_SECRET: Final = frozenset({ClientAuth.SECRET_BASIC, ClientAuth.SECRET_POST})

_client = table_of(OAuthClient).c
_roles = select(table_of(Account).c.roles).where(table_of(Account).c.id == _client.account_id)
_SHOWN: Final = [
    *(c for c in _client if c.name not in ("id", "secret_hash")),
    _client.id.label("client_id"),
    _roles.scalar_subquery().label("roles"),
    case((_client.active, "active"), else_="inactive").label("status"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClient:
    """A client to register. `roles` are those of the account it acts as when it asks for itself."""

    name: str
    auth_method: ClientAuth
    grant_types: Sequence[str]
    scope: str
    redirect_uris: Sequence[str] = ()
    post_logout_redirect_uris: Sequence[str] = ()
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str | None = None
    first_party: bool = False
    roles: Sequence[Role] = ()


async def register_client(
    session: AsyncSession, clinic: Clinic, me: Me, new: NewClient
) -> tuple[Mapping[str, Any], str | None]:
    """Register a client; return it and its secret, if it has one."""
    client_id = new_id()
    await clinic.gate.write(session, me, Action.CREATE, _resource(client_id))
    _check(new)
    account = await _service_account(session, clinic, me, client_id, new)
    secret = secrets.token_urlsafe(32) if new.auth_method in WITH_SECRET else None
    row = OAuthClient(
        id=str(client_id),
        name=new.name,
        redirect_uris=list(new.redirect_uris),
        post_logout_redirect_uris=list(new.post_logout_redirect_uris),
        grant_types=list(new.grant_types),
        scope=new.scope,
        auth_method=new.auth_method,
        secret_hash=sessions.hashed(secret).hex() if secret else None,
        jwks=dict(new.jwks) if new.jwks else None,
        jwks_uri=new.jwks_uri,
        first_party=new.first_party,
        account_id=account,
        registered_by=me.subject.id,
    )
    await add(session, row)
    shown = row.model_dump() | {"client_id": client_id, "roles": new.roles or None}
    return shown, secret


async def read_client(clinic: Clinic, me: Me, client_id: UUID) -> Mapping[str, Any]:
    """Return one registered client, or raise NotFound."""
    return await _found(clinic, me, Action.READ, client_id)


async def list_clients(
    clinic: Clinic, me: Me, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return registered clients in the order they were registered; our own are not among them."""
    await clinic.gate.require(me, Action.SEARCH, Resource(ResourceType.CLIENT))
    registered = _client.registered_by.is_not(None)
    statement = select(*_SHOWN).where(registered).order_by(_client.id).limit(limit + 1)
    if after:
        statement = statement.where(_client.id > str(after))
    rows = await clinic.database.select(statement)
    return rows[:limit], UUID(rows[limit - 1]["client_id"]) if len(rows) > limit else None


async def change_client(
    session: AsyncSession,
    clinic: Clinic,
    me: Me,
    client_id: UUID,
    seen: int | None,
    changes: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Change a client; PreconditionFailed unless it is at the version seen. Deactivation ends its sessions."""
    row = await _found(clinic, me, Action.UPDATE, client_id)
    names = NewClient.__dataclass_fields__.keys() - {"roles"}
    _check(NewClient(**{n: changes.get(n, row[n]) for n in names}, roles=row["roles"] or ()))
    await clinic.gate.write(session, me, Action.UPDATE, _resource(client_id))
    version = row["version"] if seen is None else seen
    at = _client.id == str(client_id), _client.version == version
    statement = update(OAuthClient).where(*at).values(**changes, version=version + 1)
    if not await sessions.affected(session, statement):
        raise PreconditionFailed("the client has changed since you read it")
    if changes.get("active") is False:
        await sessions.end_clients(session, str(client_id))
    if row["jwks_uri"]:
        forget(row["jwks_uri"])
    return dict(row) | dict(changes) | {"version": version + 1}


async def renew_secret(session: AsyncSession, clinic: Clinic, me: Me, client_id: UUID) -> str:
    """Return a fresh secret; the one before is worth nothing any more. Invalid for a client without."""
    row = await _found(clinic, me, Action.UPDATE, client_id)
    await clinic.gate.write(session, me, Action.UPDATE, _resource(client_id))
    if row["auth_method"] not in WITH_SECRET:
        raise _fault("/token_endpoint_auth_method", "no-secret", "this client has no secret")
    secret = secrets.token_urlsafe(32)
    fresh = {"secret_hash": sessions.hashed(secret).hex(), "version": _client.version + 1}
    await session.execute(update(OAuthClient).where(_client.id == str(client_id)).values(**fresh))
    return secret


async def _found(clinic: Clinic, me: Me, action: Action, client_id: UUID) -> Mapping[str, Any]:
    await clinic.gate.require(me, action, _resource(client_id))
    its = _client.id == str(client_id), _client.registered_by.is_not(None)
    rows = await clinic.database.select(select(*_SHOWN).where(*its))
    if not rows:
        await clinic.gate.absent(me, action, ResourceType.CLIENT, client_id)
    return rows[0]


async def _service_account(
    session: AsyncSession, clinic: Clinic, me: Me, client_id: UUID, new: NewClient
) -> UUID | None:
    """Make the account a client acts as. It has no password, and its name is none that can be typed."""
    if ITSELF not in new.grant_types:
        return None
    account = Account(
        login=clinic.indexes.login(f"client\0{client_id}"),
        password_hash=NO_PASSWORD,
        roles=sorted(set(new.roles)),
        label=new.name,
    )
    resource = Resource(ResourceType.ACCOUNT, id=account.id, status="active")
    await clinic.gate.write(session, me, Action.CREATE, resource)
    await add(session, account)
    return account.id


def _check(client: NewClient) -> None:
    """Raise Invalid for what a client cannot be."""
    _check_grants(client)
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        for number, uri in enumerate(getattr(client, name)):
            if not may_redirect(uri):
                raise _fault(
                    f"/{name}/{number}", "redirect", "https, or http on 127.0.0.1 or [::1]"
                )
    for word in client.scope.split():
        if word not in SCOPES and parse(word) is None:
            raise _fault(
                "/scope", "scope", "each word is one we know, or a SMART v2 resource scope"
            )
    keyed = client.auth_method == ClientAuth.PRIVATE_KEY_JWT
    if keyed != ((client.jwks is None) is not (client.jwks_uri is None)):
        raise _fault(
            "/jwks", "jwks", "private_key_jwt, and it alone, has a key set or the address of one"
        )
    if client.jwks_uri is not None and not may_redirect(client.jwks_uri):
        raise _fault("/jwks_uri", "jwks", "https, or http on 127.0.0.1 or [::1]")
    if client.jwks is not None:
        try:
            public_keys(client.jwks)
        except ValueError as error:
            raise _fault("/jwks", "jwks", str(error)) from None


def _check_grants(client: NewClient) -> None:
    itself = ITSELF in client.grant_types
    if itself and client.auth_method == ClientAuth.NONE:
        raise _fault(
            "/grant_types", "public", "a client without a secret or key cannot ask for itself"
        )
    if itself != bool(client.roles) or UNNAMED.intersection(client.roles):
        raise _fault(
            "/roles", "roles", "a client that asks for itself, and it alone, has roles, of staff"
        )
    if ("authorization_code" in client.grant_types) != bool(client.redirect_uris):
        raise _fault(
            "/redirect_uris", "redirect", "the authorization code, and it alone, needs one"
        )


def _resource(client_id: UUID) -> Resource:
    return Resource(ResourceType.CLIENT, id=client_id)


def _fault(pointer: str, code: str, message: str) -> Invalid:
    return Invalid(errors=[FieldError(pointer, code, message)])
