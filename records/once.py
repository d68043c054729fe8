"""Idempotency-Key: a thing is made once for one caller, route and key, however often it is asked for.

The key is kept in the transaction that makes the thing, so neither exists without the other. No answer is stored: what was
made is read again, through the gate, when the request comes again (docs/adr/0008-idempotency.md).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, and_, bindparam, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel

from core.clock import now
from core.database import Query, Store
from core.errors import Conflict, FieldError, Invalid
from records.access.me import Me
from records.base import Executor, moment, table_of, word
from records.clinic import Clinic

KEPT: Final = timedelta(hours=24)
"""How long a key answers; after that it is a new one."""


class IdempotencyKey(SQLModel, table=True):
    """What a request made. Key and body are tokens: either may hold PHI, and a hash without a key can be guessed."""

    __tablename__ = "idempotency_key"
    __table_args__ = (
        CheckConstraint("octet_length(token) = 16", name="token"),
        CheckConstraint("octet_length(body) = 16", name="body"),
    )

    account_id: UUID = Field(foreign_key="account.id", primary_key=True)
    route: str = word(primary_key=True)
    token: bytes = Field(primary_key=True)
    body: bytes
    made: UUID
    created_at: datetime = moment(default=True)


@dataclass(frozen=True, slots=True)
class Claim:
    """One request with a key. `made` is what an earlier one like it made."""

    account_id: UUID
    route: str
    token: bytes
    body: bytes
    made: UUID | None = None


_table: Final = table_of(IdempotencyKey)
_kept: Final = _table.c
_NEW: Final = {
    name: bindparam(name, type_=_kept[name].type)
    for name in ("account_id", "route", "token", "body", "made", "created_at")
}
_SINCE: Final = bindparam("since", type_=_kept.created_at.type)
_LOCK: Final = func.pg_try_advisory_xact_lock(bindparam("number", type_=BigInteger()))
_CLAIM: Final = Query(
    select(_LOCK.label("mine"), _kept.body, _kept.made).select_from(
        select(literal(1))
        .subquery()
        .outerjoin(
            _table,
            and_(
                *(_kept[name] == _NEW[name] for name in ("account_id", "route", "token")),
                _kept.created_at > _SINCE,
            ),
        )
    )
)
_KEEP: Final = Query(
    insert(_table)
    .values(_NEW)
    .on_conflict_do_update(
        index_elements=["account_id", "route", "token"],
        set_={name: _NEW[name] for name in ("body", "made", "created_at")},
        where=_kept.created_at <= _SINCE,
    )
    .returning(_kept.made)
)


async def claim(store: Store, clinic: Clinic, me: Me, key: str, request: bytes) -> Claim:
    """Take a key for the length of the transaction, and find what it made before.

    Raises Conflict(`idempotency-in-progress`) while an equal request runs, and
    Invalid(`idempotency-key-reused`) when the key came with another request.
    """
    token = clinic.indexes.request(f"key {key}")
    body = clinic.indexes.request(f"body {sha256(request).hexdigest()}")
    wanted = Claim(me.subject.id, me.origin.endpoint, token, body)
    found = await store.one(_CLAIM, number=_number(wanted), **_named(wanted))
    assert found is not None
    if not found["mine"]:
        raise _running()
    if found["made"] and found["body"] != body:
        fault = FieldError(
            "/idempotency-key", "reused", "this key came with another request before"
        )
        raise Invalid(code="idempotency-key-reused", errors=[fault])
    return replace(wanted, made=found["made"])


async def keep(store: Store, claimed: Claim, made: UUID) -> None:
    """Keep what the request made, in its own transaction; a key past its time is a new one."""
    values = {"body": claimed.body, "made": made, "created_at": now()}
    if await store.one(_KEEP, **_named(claimed), **values) is None:
        raise _running()  # somebody kept it between our look and our lock: they were first


def _named(wanted: Claim) -> dict[str, Any]:
    key = {"account_id": wanted.account_id, "route": wanted.route, "token": wanted.token}
    return {**key, "since": now() - KEPT}


async def forget(session: Executor) -> None:
    """Delete the keys whose time is over."""
    await session.execute(delete(_table).where(_kept.created_at <= now() - KEPT))


def _number(wanted: Claim) -> int:
    parts = wanted.account_id.bytes + wanted.token + wanted.route.encode()
    return int.from_bytes(sha256(parts).digest()[:8], "big", signed=True)


def _running() -> Conflict:
    return Conflict(
        "an equal request is being answered", code="idempotency-in-progress", retryable=True
    )
