"""Accounts: who may log in, and whether it was them."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import bindparam, select, update

from core.database import Database, Query
from core.errors import Throttled
from policies.vocabulary import Role
from records.audit.event import Origin
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.identity import attempts
from records.identity.events import refused
from records.identity.models import Account
from records.identity.passwords import LONGEST, passwords
from records.vault.indexes import Indexes

_account = table_of(Account)
_BY_LOGIN = Query(select(_account).where(_account.c.login == bindparam("login")))
_BY_ID = Query(select(_account).where(_account.c.id == bindparam("id")))
_LABEL = Query(select(_account.c.label).where(_account.c.id == bindparam("id")))


async def create(
    session: Executor,
    indexes: Indexes,
    *,
    username: str,
    password: str,
    roles: Iterable[Role],
    doctor_id: UUID | None = None,
    patient_id: UUID | None = None,
    label: str | None = None,
) -> Account:
    """Make an account. Of the name only its blind-index token is kept; a name in use is a Conflict."""
    account = Account(
        login=indexes.login(username),
        password_hash=await passwords().hash(password),
        roles=sorted(roles),
        doctor_id=doctor_id,
        patient_id=patient_id,
        label=label,
    )
    await add(session, account)
    return account


async def named(clinic: Clinic, username: str) -> Account | None:
    """Return the account of a login name, active or not."""
    row = await clinic.database.one(_BY_LOGIN, login=clinic.indexes.login(username))
    return Account(**row) if row else None


async def authenticate(
    clinic: Clinic, username: str, password: str, origin: Origin
) -> Account | None:
    """Return whose name and password these are; None, after as much work, when they are nobody's.

    That is an event; a login that is right becomes one when it is complete. Throttled after too many tries: unknown names are counted like known ones.
    """
    login, checker = clinic.indexes.login(username), passwords()
    try:
        await attempts.count(clinic.database, login, origin.network)
    except Throttled:
        await clinic.trail.note(refused(None, origin, "throttled"))
        raise
    account = await named(clinic, username)
    right, renewed = await checker.verify(password, account.password_hash if account else None)
    if account is None or not right or not account.active or len(password) > LONGEST:
        await clinic.trail.note(refused(account, origin, "credentials"))
        return None
    await attempts.forget(clinic.database, login, origin.network)
    if renewed:
        await _keep(clinic, account, renewed)
    return account


async def welcome(clinic: Clinic, account_id: UUID) -> Account | None:
    """Return an account that is active, by its id."""
    row = await clinic.database.one(_BY_ID, id=account_id)
    return Account(**row) if row and row["active"] else None


async def _keep(clinic: Clinic, account: Account, renewed: str) -> None:
    """Store a hash at today's cost in place of the one that was checked, unless a new password came first."""
    mine = _account.c.id == account.id, _account.c.password_hash == account.password_hash
    async with clinic.database.transaction() as session:
        await session.execute(update(_account).where(*mine).values(password_hash=renewed))


async def profile(database: Database, account_id: UUID) -> dict[str, str]:
    """Return the claims of the `profile` scope: staff have a label, patients are named by nobody here."""
    row = await database.one(_LABEL, id=account_id)
    return {"name": row["label"]} if row and row["label"] else {}
