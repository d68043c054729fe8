"""Who stands behind a token now: a token says who logged in, the database whether that still counts.

An answer is kept for less than a second, so that deactivating an account, changing its roles or ending a session
acts within a second in every process, and at once in the one that did it.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, event, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import Database, Query
from policies.clearance import cleared
from policies.facts import Environment, Subject
from policies.vocabulary import CLAIMS, Purpose, Role
from records.base import table_of
from records.identity.models import Account, AccountPasskey, AccountTotp, OAuthSession
from records.identity.presence import DEPARTMENT, ON_SHIFT

FRESH: Final = 0.8
"""Seconds an answer is good for, counted from before it was asked."""
KEPT: Final = 10_000

_account, _session = table_of(Account).c, table_of(OAuthSession).c
_totp, _passkey = table_of(AccountTotp).c, table_of(AccountPasskey).c
_alive = and_(_account.active, _session.revoked_at.is_(None), _session.expires_at > func.now())


def has_factor() -> ColumnElement[bool]:
    """Return whether the account of a row has a second factor: an app that has shown a code, or a passkey."""
    app = _totp.account_id == _account.id, _totp.confirmed_at.is_not(None)
    return or_(exists().where(*app), exists().where(_passkey.account_id == _account.id))


_CLAIMS: Final = (
    _account.roles,
    _account.doctor_id,
    _account.patient_id,
    _account.clearances,
    DEPARTMENT,
    ON_SHIFT,
    has_factor().label("two_factors"),
)
_CALLER = Query(
    select(*_CLAIMS)
    .join_from(OAuthSession, Account, _session.account_id == _account.id)
    .where(_session.id == bindparam("session"), _account.id == bindparam("account"), _alive)
)
_ACCOUNT = Query(select(*_CLAIMS).where(_account.id == bindparam("account"), _account.active))
_AT_WORK: Final = frozenset({Role.DOCTOR, Role.NURSE, Role.RECEPTIONIST})
_USUAL: Final = {purpose: Environment(purpose) for purpose in Purpose}


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose login counts, and why they ask unless they say otherwise."""

    subject: Subject
    environment: Environment
    two_factors: bool = False
    """Whether they have a second factor to log in with."""


class Answers(OrderedDict[tuple[UUID, UUID], tuple[float, Caller | None]]):
    """Answers by session and account, each with the time it was asked; none from before `since` counts."""

    since = 0.0


_answers: Final = Answers()


async def caller(database: Database, account_id: UUID, session_id: UUID) -> Caller | None:
    """Return who is behind a session; None when the account is not active or the session has ended."""
    key = session_id, account_id
    known, asked = _answers.get(key), monotonic()
    if known and known[0] > max(asked - FRESH, _answers.since):
        return known[1]
    row = await database.one(_CALLER, session=session_id, account=account_id)
    answer = _caller(account_id, row) if row else None
    _answers[key] = asked, answer
    _answers.move_to_end(key)
    if len(_answers) > KEPT:
        _answers.popitem(last=False)
    return answer


async def account_as_caller(database: Database, account_id: UUID) -> Caller | None:
    """Return somebody without a login of theirs at hand, as a feed or an errand needs; None if not active."""
    row = await database.one(_ACCOUNT, account=account_id)
    return _caller(account_id, row) if row else None


def forget(session: AsyncSession) -> None:
    """Ask anew about everybody once this transaction has committed: it changes who may do what."""
    event.listen(session.sync_session, "after_commit", _begin_anew, once=True)


def _begin_anew(_session: object) -> None:
    _answers.since = monotonic()


def environment(purpose: str, roles: Iterable[Role]) -> Environment | None:
    """Return the environment of a stated purpose of use; None when no role of the caller may claim it.

    ValueError for a code that is no purpose.
    """
    stated = Purpose(purpose)
    claims = frozenset[Purpose]().union(*(CLAIMS.get(role, ()) for role in roles))
    return _USUAL[stated] if stated in claims else None


async def everybody(database: Database, account_id: UUID | None = None) -> list[Caller]:
    """Return everybody with an active account, or one of them: as if they asked now."""
    statement = select(_account.id, *_CLAIMS).where(_account.active).order_by(_account.id)
    if account_id:
        statement = statement.where(_account.id == account_id)
    return [_caller(row["id"], row) for row in await database.select(statement)]


def _caller(account_id: UUID, row: Any) -> Caller:
    roles = frozenset(Role(role) for role in row["roles"])
    clearances = cleared(roles, row["clearances"])
    works = row["department"], row["on_shift"]
    subject = Subject(account_id, roles, row["doctor_id"], row["patient_id"], clearances, *works)
    return Caller(subject, _USUAL[_purpose(roles)], row["two_factors"])


def _purpose(roles: frozenset[Role]) -> Purpose:
    """Those who work with patients treat; compliance checks; a patient asks for itself."""
    if roles & _AT_WORK:
        return Purpose.TREATMENT
    if Role.COMPLIANCE in roles:
        return Purpose.COMPLIANCE
    if Role.PATIENT in roles:
        return Purpose.PATIENT_REQUEST
    return Purpose.OPERATIONS
