"""OAuth clients: who may ask for a code, and where it may be sent."""

import re
from typing import Final
from urllib.parse import urlsplit

import orjson
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from core.database import Database, Query
from policies import scopes
from policies.scopes import Scope
from records.base import Executor, table_of
from records.identity.models import OAuthClient
from records.identity.ours import CLI, DEVICE, DOCS, OURS

SCOPES: Final = ("openid", "profile", "offline_access")
"""Words that are no resource scopes: what a token may say of its owner, and that it outlives the visit."""
EVERYTHING: Final = ("user/*.cruds", "patient/*.cruds")
NOTHING: Final = Scope(frozenset())

_LOOPBACK: Final = ("127.0.0.1", "[::1]")
_client = table_of(OAuthClient)
_BY_ID = Query(select(_client).where(_client.c.id == bindparam("id"), _client.c.active))


async def find(database: Database, client_id: str) -> OAuthClient | None:
    """Return the client registered under an id, if it is active."""
    row = await database.one(_BY_ID, id=client_id)
    return OAuthClient(**{**row, "jwks": orjson.loads(row["jwks"] or "null")}) if row else None


def scope_of(client_id: str, text: str) -> Scope | None:
    """Return what a token of a client may be used for; None for whatever its owner may do."""
    stated = scopes.read(text)
    return stated or (None if client_id in OURS else NOTHING)


async def ensure_clients(session: Executor, issuer: str) -> None:
    """Register our own public clients, or bring their addresses up to date."""
    docs = [f"{issuer}/docs/oauth2-redirect"]
    if urlsplit(issuer).hostname == "127.0.0.1":  # the same machine has another name
        docs.append(docs[0].replace("127.0.0.1", "localhost"))
    for client in (
        _public(CLI, "Confide command line", ["http://127.0.0.1/callback"]),
        _public(DOCS, "Confide API reference", docs),
    ):
        values = client.model_dump()
        changing = {k: values[k] for k in ("name", "redirect_uris", "grant_types", "scope")}
        await session.execute(
            insert(_client)
            .values(values)
            .on_conflict_do_update(index_elements=["id"], set_=changing)
        )


def redirects_to(registered: str, given: str) -> bool:
    """Tell whether an address is the registered one: to the letter, but for a loopback's port (RFC 8252 §7.3)."""
    if given == registered:
        return True
    scheme, _, rest = registered.partition("://")
    host, slash, path = rest.partition("/")
    if scheme != "http" or host not in _LOOPBACK:
        return False
    return bool(
        re.fullmatch(rf"{re.escape(f'http://{host}')}:[0-9]{{1,5}}{re.escape(slash + path)}", given)
    )


def may_redirect(uri: str) -> bool:
    """Tell whether an address may be registered: https, or loopback; no fragment, no name in front of the host."""
    try:
        parts = urlsplit(uri)
        loopback = parts.scheme == "http" and f"{parts.netloc}".split(":")[0] == "127.0.0.1"
        secure = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    plain = uri.isascii() and uri.isprintable() and not set(uri) & set(" \"'<>\\#")
    return (
        plain
        and "@" not in parts.netloc
        and (secure or loopback or uri.startswith("http://[::1]/"))
    )


def _public(client_id: str, name: str, redirect_uris: list[str]) -> OAuthClient:
    return OAuthClient(
        id=client_id,
        name=name,
        redirect_uris=redirect_uris,
        grant_types=["authorization_code", "refresh_token", DEVICE],
        scope=" ".join((*SCOPES, *EVERYTHING)),
    )
