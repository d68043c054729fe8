"""Accounts as administrators keep them: made, invited, changed, ended. A change acts on the next request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Conflict, FieldError, Invalid, PreconditionFailed
from core.ids import new_id
from policies.facts import Resource
from policies.vocabulary import UNNAMED, Action, ResourceType, Role
from records.access.me import Me
from records.base import add, table_of
from records.clinic import Clinic
from records.identity import factors, sessions, tickets
from records.identity.callers import forget
from records.identity.commands import NO_PASSWORD
from records.identity.models import Account, TicketKind
from records.identity.passwords import passwords
from records.identity.strength import require_strong
from records.identity.tickets import Ticket

_account = table_of(Account).c
_status = case((_account.active, "active"), else_="inactive").label("status")
_invited = (_account.password_hash == NO_PASSWORD).label("invited")
_SHOWN: Final = [c for c in _account if c.name not in ("login", "password_hash")]
_LINKS: Final = {"fk-account-doctor-id": "/doctor_id", "fk-account-patient-id": "/patient_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """An account to make. Without a password its owner is invited to choose one."""

    username: str
    roles: Sequence[Role]
    password: str | None = None
    department: str | None = None
    clearances: Sequence[str] | None = None
    label: str | None = None
    doctor_id: UUID | None = None
    patient_id: UUID | None = None


async def create_account(
    session: AsyncSession, clinic: Clinic, me: Me, new: NewAccount
) -> tuple[Mapping[str, Any], Ticket | None]:
    """Make an account; return it, and the link of an invitation. Conflict(`username-taken`)."""
    account_id = new_id()
    await clinic.gate.write(session, me, Action.CREATE, _resource(account_id))
    _check(new.roles, new.label)
    row = Account(
        id=account_id,
        login=clinic.indexes.login(new.username),
        password_hash=await _hashed(new),
        roles=_once_each(new.roles),
        department=new.department,
        clearances=_once_each(new.clearances),
        label=new.label,
        doctor_id=new.doctor_id,
        patient_id=new.patient_id,
    )
    try:
        await add(session, row)
    except Conflict as conflict:
        raise _explained(conflict) from None
    link = None if new.password else await tickets.make(session, row.id, TicketKind.INVITATION)
    return row.model_dump() | {"invited": new.password is None}, link


async def read_account(clinic: Clinic, me: Me, account_id: UUID) -> Mapping[str, Any]:
    """Return one account without its secrets, or raise NotFound."""
    return await _found(clinic, me, Action.READ, account_id)


async def list_accounts(
    clinic: Clinic,
    me: Me,
    *,
    limit: int,
    after: UUID | None = None,
    role: Role | None = None,
    active: bool | None = None,
    username: str | None = None,
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return accounts in the order they were made, each as it is allowed to be read."""
    await clinic.gate.require(me, Action.SEARCH, Resource(ResourceType.ACCOUNT))
    statement = select(*_SHOWN, _status, _invited).order_by(_account.id).limit(limit + 1)
    if after:
        statement = statement.where(_account.id > after)
    if role:
        statement = statement.where(_account.roles.any(role))
    if active is not None:
        statement = statement.where(_account.active.is_(active))
    if username:
        statement = statement.where(_account.login == clinic.indexes.login(username))
    rows = await clinic.database.select(statement)
    page = rows[:limit]
    permits = await clinic.gate.disclose(
        me, ResourceType.ACCOUNT, [_resource(row["id"], row["status"]) for row in page]
    )
    return [r for r in page if r["id"] in permits], page[-1]["id"] if len(rows) > limit else None


async def change_account(
    session: AsyncSession,
    clinic: Clinic,
    me: Me,
    account_id: UUID,
    seen: int | None,
    changes: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Change roles, state, department, label or links; PreconditionFailed unless it is at the version seen.

    Who is deactivated is logged out everywhere; a change of roles acts on the next request.
    """
    row = await _found(clinic, me, Action.UPDATE, account_id)
    _check(changes.get("roles", row["roles"]), changes.get("label", row["label"]))
    sets = {n: _once_each(changes[n]) for n in ("roles", "clearances") if n in changes}
    changes = {**changes, **sets}
    await clinic.gate.write(session, me, Action.UPDATE, _resource(account_id, row["status"]))
    version = row["version"] if seen is None else seen
    at = _account.id == account_id, _account.version == version
    statement = update(Account).where(*at).values(**changes, version=version + 1)
    try:
        done = await sessions.affected(session, statement)
    except Conflict as conflict:
        raise _explained(conflict) from None
    if not done:
        raise PreconditionFailed("the account has changed since you read it")
    if changes.get("active") is False:
        await sessions.end_all(session, account_id)
    forget(session)
    return dict(row) | dict(changes) | {"version": version + 1}


async def invite(session: AsyncSession, clinic: Clinic, me: Me, account_id: UUID) -> Ticket:
    """Return a link by which the account's owner chooses a password; earlier links end."""
    row = await _found(clinic, me, Action.UPDATE, account_id)
    await clinic.gate.write(session, me, Action.UPDATE, _resource(account_id, row["status"]))
    kind = TicketKind.INVITATION if row["invited"] else TicketKind.RESET
    return await tickets.make(session, account_id, kind)


async def reset_factors(session: AsyncSession, clinic: Clinic, me: Me, account_id: UUID) -> None:
    """Take the second factors of an account away, whose owner has lost them; every session of it ends."""
    row = await _found(clinic, me, Action.UPDATE, account_id)
    await clinic.gate.write(session, me, Action.UPDATE, _resource(account_id, row["status"]))
    await factors.remove(session, clinic, me, account_id)
    await sessions.end_all(session, account_id)


async def list_sessions(clinic: Clinic, me: Me, account_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return the sessions of an account that are alive."""
    await _found(clinic, me, Action.READ, account_id)
    return await sessions.alive(clinic.database, account_id)


async def end_sessions(
    session: AsyncSession, clinic: Clinic, me: Me, account_id: UUID, only: UUID | None = None
) -> None:
    """End all sessions of an account, or one of them; NotFound for one that is not its own."""
    row = await _found(clinic, me, Action.UPDATE, account_id)
    await clinic.gate.write(session, me, Action.UPDATE, _resource(account_id, row["status"]))
    await sessions.end_all(session, account_id, only=only)


async def _found(clinic: Clinic, me: Me, action: Action, account_id: UUID) -> Mapping[str, Any]:
    """Return an account's row; who may not act on accounts does not learn which there are."""
    statement = select(*_SHOWN, _status, _invited).where(_account.id == account_id)
    rows = await clinic.database.select(statement)
    resource = _resource(account_id, rows[0]["status"] if rows else "active")
    await clinic.gate.require(me, action, resource)
    if not rows:
        await clinic.gate.absent(me, action, ResourceType.ACCOUNT, account_id)
    if action is Action.READ:
        await clinic.gate.read(me, action, resource)
    return rows[0]


def _resource(account_id: UUID, status: str = "active") -> Resource:
    return Resource(ResourceType.ACCOUNT, id=account_id, status=status)


async def _hashed(new: NewAccount) -> str:
    if new.password is None:
        return NO_PASSWORD
    require_strong(new.password, "/password", new.username)
    return await passwords().hash(new.password)


def _check(roles: Sequence[Role], label: str | None) -> None:
    if label and UNNAMED.intersection(roles):
        raise Invalid(errors=[FieldError("/label", "unnamed", "such an account carries no name")])


def _once_each(codes: Sequence[str] | None) -> Any:
    return None if codes is None else list(dict.fromkeys(codes))


def _explained(conflict: Conflict) -> Exception:
    """Return what a broken constraint means to whoever asked for it."""
    if conflict.code in _LINKS:
        return Invalid(errors=[FieldError(_LINKS[conflict.code], "unknown", "there is none")])
    if conflict.code == "uq-account-login":
        return Conflict("another account has this user name", code="username-taken")
    return conflict
