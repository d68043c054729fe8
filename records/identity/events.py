"""What the trail is told of accounts: of logins, passwords, second factors, and rights lent to applications."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from policies.vocabulary import Outcome, Purpose, ResourceType
from records.access.me import Me
from records.audit.event import Act, Event, Origin
from records.identity.models import Account


def done(
    me: Me,
    act: Act,
    reason: str | None = None,
    *,
    to: UUID | None = None,
    outcome: Outcome = Outcome.ALLOW,
) -> Event:
    """Return the event of what the caller did to their own account, or `to` another."""
    event = _event(act, to or me.subject.id, me.origin, reason, outcome)
    return replace(event, actor=me.subject.id, roles=tuple(me.subject.roles), session=me.session)


def logged_in(account: Account, origin: Origin, amr: Sequence[str] = ()) -> Event:
    """Return the event of a login that was right, and how it was made."""
    return by_owner(account, Act.LOGIN, origin, " ".join(amr) or None)


def by_owner(account: Account, act: Act, origin: Origin, reason: str | None) -> Event:
    """Return the event of what an account's owner did, who has no session yet."""
    event = _event(act, account.id, origin, reason)
    return replace(event, actor=account.id, roles=tuple(account.roles))


def refused(account: Account | None, origin: Origin, reason: str) -> Event:
    """Return the event of a login that failed. Nobody did it: all that is known is which account it was aimed at."""
    aimed = account.id if account else None
    return _event(Act.LOGIN, aimed, origin, reason, Outcome.DENY)


def reset_asked(account: Account, origin: Origin) -> Event:
    """Return the event of a link that somebody, not known to be the owner, asked for."""
    return _event(Act.PASSWORD, account.id, origin, "reset-asked")


def _event(
    act: Act,
    account_id: UUID | None,
    origin: Origin,
    reason: str | None,
    outcome: Outcome = Outcome.ALLOW,
) -> Event:
    return Event(
        actor=None,
        action=act,
        outcome=outcome,
        reason=reason,
        purpose=Purpose.OPERATIONS,
        resource_type=ResourceType.ACCOUNT,
        resource_ids=(account_id,) if account_id else (),
        origin=origin,
    )
