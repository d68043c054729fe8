"""Idempotency-Key: a thing is made once for one caller, route and key, however often it is asked for.

The key is kept in the transaction that makes the thing, so neither exists without the other. No answer is stored: what was
made is read again, through the gate, when the request comes again (docs/adr/0008-idempotency.md).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from sqlalchemy import CheckConstraint, and_, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel

from core.clock import now
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


async def claim(session: Executor, clinic: Clinic, me: Me, key: str, request: bytes) -> Claim:
    """Take a key for the length of the transaction, and find what it made before.

    Raises Conflict(`idempotency-in-progress`) while an equal request runs, and
    Invalid(`idempotency-key-reused`) when the key came with another request.
    """
    token = clinic.indexes.request(f"key {key}")
    body = clinic.indexes.request(f"body {sha256(request).hexdigest()}")
    wanted = Claim(me.subject.id, me.origin.endpoint, token, body)
    named = and_(
        _kept.account_id == wanted.account_id,
        _kept.route == wanted.route,
        _kept.token == token,
        _kept.created_at > now() - KEPT,
    )
    mine = func.pg_try_advisory_xact_lock(_number(wanted)).label("mine")
    one = select(literal(1)).subquery()
    looking = select(mine, _kept.body, _kept.made).select_from(one.outerjoin(_table, named))
    found = (await session.execute(looking)).one()
    if not found.mine:
        raise _running()
    if found.made and found.body != body:
        fault = FieldError("Idempotency-Key", "reused", "this key came with another request before")
        raise Invalid(code="idempotency-key-reused", errors=[fault])
    return Claim(wanted.account_id, wanted.route, token, body, found.made)


async def keep(session: Executor, claimed: Claim, made: UUID) -> None:
    """Keep what the request made, in its own transaction; a key past its time is a new one."""
    values = {
        "account_id": claimed.account_id,
        "route": claimed.route,
        "token": claimed.token,
        "body": claimed.body,
        "made": made,
        "created_at": now(),
    }
    keeping = insert(_table).values(values)
    keeping = keeping.on_conflict_do_update(
        index_elements=["account_id", "route", "token"],
        set_={"body": claimed.body, "made": made, "created_at": values["created_at"]},
        where=_kept.created_at <= now() - KEPT,
    )
    if (await session.execute(keeping.returning(_kept.made))).first() is None:
        raise _running()  # somebody kept it between our look and our lock: they were first


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
