"""Second factors: an authenticator app (TOTP, RFC 6238), passkeys (`passkeys.py`), and recovery codes on paper.

Each code is good once. The seed is sealed for its account; of recovery codes, which are random, the SHA-256 is kept.
"""

import secrets
from base64 import b32encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Any, Final
from uuid import UUID

import pyotp
from sqlalchemy import bindparam, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from core.database import Query
from core.errors import Conflict, FieldError, Invalid
from records.access.me import Me
from records.audit.event import Act
from records.base import add, table_of
from records.clinic import Clinic
from records.identity import events
from records.identity.callers import forget, has_factor
from records.identity.models import Account, AccountPasskey, AccountRecoveryCode, AccountTotp
from records.identity.sessions import affected, hashed

CODES: Final = 10
"""Recovery codes of an account."""
STEP: Final = 30
"""Seconds of a code; those of the step before and the step after count too."""
_SEED: Final = 20
_DIGITS: Final = 6

_totp, _code = table_of(AccountTotp), table_of(AccountRecoveryCode).c
_account, _passkey = table_of(Account).c, table_of(AccountPasskey).c
_ENROLLED = Query(select(_account.id).where(_account.id == bindparam("id"), has_factor()))


@dataclass(frozen=True, slots=True)
class Seed:
    """What an authenticator app is told, once."""

    secret: str
    uri: str


async def enrolled(clinic: Clinic, account_id: UUID) -> bool:
    """Tell whether an account has a second factor."""
    return await clinic.database.one(_ENROLLED, id=account_id) is not None


async def state(clinic: Clinic, account_id: UUID) -> Mapping[str, Any]:
    """Return what second factors an account has."""
    app = exists().where(_totp.c.account_id == account_id, _totp.c.confirmed_at.is_not(None))
    unused = select(func.count()).where(_code.account_id == account_id, _code.used_at.is_(None))
    keys = select(func.count()).where(_passkey.account_id == account_id)
    found = select(
        app.label("totp"),
        unused.scalar_subquery().label("recovery_codes_left"),
        keys.scalar_subquery().label("passkeys"),
    )
    return (await clinic.database.select(found))[0]


async def begin(session: AsyncSession, clinic: Clinic, me: Me, issuer: str) -> Seed:
    """Return a seed for the caller's app. It counts once a code of it has been shown; Conflict if one does already."""
    if (await state(clinic, me.subject.id))["totp"]:
        raise Conflict("there is an authenticator app already", code="factor-exists")
    secret = b32encode(secrets.token_bytes(_SEED)).decode()
    row = {
        "account_id": me.subject.id,
        "seed": clinic.indexes.lock(me.subject.id, secret.encode()),
        "last_step": 0,
        "confirmed_at": None,
        "created_at": now(),
    }
    upsert = insert(_totp).values(row)
    anew = {name: upsert.excluded[name] for name in ("seed", "last_step", "created_at")}
    await session.execute(
        upsert.on_conflict_do_update(
            index_elements=["account_id"], set_=anew, where=_totp.c.confirmed_at.is_(None)
        )
    )
    uri = pyotp.TOTP(secret).provisioning_uri(name=str(me.subject.id)[:8], issuer_name=issuer)
    return Seed(secret, uri)


async def confirm(session: AsyncSession, clinic: Clinic, me: Me, code: str) -> Sequence[str]:
    """Let the second factor count from now on, shown a code of it; return the recovery codes."""
    if await _by_app(session, clinic, me.subject.id, code, confirmed=False) is None:
        raise Invalid(errors=[FieldError("/code", "wrong", "this is not the app's present code")])
    at = _totp.c.account_id == me.subject.id
    await session.execute(update(AccountTotp).where(at).values(confirmed_at=now()))
    await note(session, clinic, me, me.subject.id, "enrolled")
    forget(session)
    return await fresh_codes(session, clinic, me)


async def fresh_codes(session: AsyncSession, clinic: Clinic, me: Me) -> Sequence[str]:
    """Return new recovery codes; those before are worth nothing any more."""
    enrolled_now = select(_account.id).where(_account.id == me.subject.id, has_factor())
    if (await session.execute(enrolled_now)).first() is None:
        raise Conflict("there is no second factor", code="no-factor")
    await session.execute(delete(AccountRecoveryCode).where(_code.account_id == me.subject.id))
    codes = [_spelled(b32encode(secrets.token_bytes(10)).decode()) for _ in range(CODES)]
    await add(
        session,
        *(AccountRecoveryCode(code_hash=_hash(c), account_id=me.subject.id) for c in codes),
    )
    await note(session, clinic, me, me.subject.id, "recovery-codes")
    return codes


async def remove(session: AsyncSession, clinic: Clinic, me: Me, account_id: UUID) -> None:
    """Take an account's second factors away: its own owner's, or an administrator's whom the gate let through."""
    for table, column in (
        (AccountTotp, _totp.c.account_id),
        (AccountPasskey, _passkey.account_id),
        (AccountRecoveryCode, _code.account_id),
    ):
        await session.execute(delete(table).where(column == account_id))
    await note(session, clinic, me, account_id, "removed")
    forget(session)


async def remove_app(session: AsyncSession, clinic: Clinic, me: Me) -> None:
    """Take the caller's authenticator app away; their passkeys, if any, are asked for from now on."""
    its = _totp.c.account_id == me.subject.id, _totp.c.confirmed_at.is_not(None)
    gone = await session.execute(delete(AccountTotp).where(*its).returning(_totp.c.account_id))
    if gone.first() is None:
        raise Conflict("there is no authenticator app", code="no-factor")
    await note(session, clinic, me, me.subject.id, "app-removed")
    forget(session)


async def prove(session: AsyncSession, clinic: Clinic, account_id: UUID, code: str) -> str | None:
    """Return how a code proves its account (`app`, `paper`), using it up; None when it does not."""
    typed = "".join(code.split()).replace("-", "").upper()
    if len(typed) == _DIGITS:
        return await _by_app(session, clinic, account_id, typed)
    its = _code.account_id == account_id, _code.code_hash == _hash(typed), _code.used_at.is_(None)
    statement = update(AccountRecoveryCode).where(*its).values(used_at=now())
    return "paper" if await affected(session, statement) else None


async def _by_app(
    session: AsyncSession, clinic: Clinic, account_id: UUID, code: str, *, confirmed: bool = True
) -> str | None:
    row = await session.get(AccountTotp, account_id, with_for_update=True)
    if row is None or (row.confirmed_at is not None) is not confirmed:
        return None
    seed = clinic.indexes.unlock(account_id, row.seed).decode()
    step = _step_of(seed, code, now())
    if step is None or step <= row.last_step:
        return None
    row.last_step = step
    return "app"


def _step_of(seed: str, code: str, at: datetime) -> int | None:
    """Return the time step that a code is of, out of the present one and its neighbours."""
    totp, present = pyotp.TOTP(seed), int(at.timestamp()) // STEP
    for step in (present, present - 1, present + 1):
        if compare_digest(totp.generate_otp(step).encode(), code.encode()):
            return step
    return None


async def note(
    session: AsyncSession, clinic: Clinic, me: Me, account_id: UUID, reason: str
) -> None:
    """Keep what became of an account's factors, and who did it."""
    event = events.done(me, Act.FACTOR, reason, to=account_id)
    await clinic.trail.note_within(session, event)


def _hash(code: str) -> bytes:
    return hashed(code.replace("-", ""))


def _spelled(letters: str) -> str:
    return "-".join(letters[i : i + 4] for i in range(0, len(letters), 4))
