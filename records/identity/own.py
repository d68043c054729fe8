"""What people do to their own account: another password, an end to a session. Nobody's leave is needed, it is kept."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import FieldError, Forbidden, Invalid
from policies.scopes import Reach
from policies.vocabulary import Action, Outcome, ResourceType
from records.access.me import Me
from records.audit.event import Act
from records.clinic import Clinic
from records.identity import attempts, sessions
from records.identity.events import done
from records.identity.models import Account
from records.identity.passwords import passwords
from records.identity.strength import require_strong
from records.identity.tickets import set_password


async def own_sessions(clinic: Clinic, me: Me) -> Sequence[Mapping[str, Any]]:
    """Return where the caller is logged in."""
    require_whole(me)
    return await sessions.alive(clinic.database, me.subject.id)


async def end_own_sessions(
    session: AsyncSession, clinic: Clinic, me: Me, only: UUID | None = None
) -> None:
    """Log the caller out: of one session, or of all but the one that asks."""
    require_whole(me)
    await sessions.end_all(session, me.subject.id, only=only, keep=None if only else me.session)
    await clinic.trail.note_within(session, done(me, Act.LOGOUT))


async def change_password(
    session: AsyncSession, clinic: Clinic, me: Me, current: str, new: str
) -> None:
    """Set another password, given the present one; every other session of the account ends."""
    require_whole(me)
    account = await session.get_one(Account, me.subject.id)
    await attempts.count(clinic.database, account.login, me.origin.network)
    right, _ = await passwords().verify(current, account.password_hash)
    if not right:
        await clinic.trail.note(done(me, Act.PASSWORD, outcome=Outcome.DENY))
        raise Invalid(errors=[FieldError("/current_password", "wrong", "this is not the password")])
    require_strong(new, "/new_password")
    await attempts.forget(clinic.database, account.login, me.origin.network)
    await set_password(session, clinic, account, new, me.origin, reason="password")
    await sessions.end_all(session, account.id, keep=me.session)


def require_whole(me: Me) -> None:
    """An application that was lent some of somebody's rights does not keep their account."""
    if me.scope and me.scope.reach(Action.UPDATE, ResourceType.ACCOUNT) is not Reach.ALL:
        raise Forbidden("the token is not for this", code="insufficient-scope")
