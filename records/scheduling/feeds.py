"""Calendar feeds: an address nobody can guess, for a calendar program that cannot log in.

The address stands for the account that made it: every fetch asks the policy of now, as that account, and is on the trail.
What it shows is that there is a visit, and when; not whose, not why.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CheckConstraint, Select, bindparam, or_, select, update
from sqlmodel import Field

from core.clock import now
from core.database import Query
from core.errors import Forbidden, NotFound
from policies.scopes import Reach
from policies.vocabulary import Action, Outcome, ResourceType
from records.access.me import Me
from records.access.relations import asking
from records.audit.event import Act, Event, Origin
from records.base import Executor, Row, add, moment, table_of
from records.clinic import Clinic
from records.identity.callers import account_as_caller
from records.scheduling.models import Appointment
from records.scheduling.reading import COLUMNS, resource_of, selected

BACK: Final = timedelta(days=30)
AHEAD: Final = timedelta(days=365)
SHOWN: Final = 300
"""Visits of a feed at most."""
NOTED: Final = 50
"""Visits that one audit event may name."""


class CalendarFeed(Row, table=True):
    """The address of a feed, as a hash. Nobody reads the address again; who lost it makes another."""

    __tablename__ = "calendar_feed"
    __table_args__ = (
        CheckConstraint("octet_length(token_hash) = 32", name="hashed"),
        CheckConstraint("(doctor_id IS NULL) <> (patient_id IS NULL)", name="one_calendar"),
    )

    token_hash: bytes = Field(unique=True)
    account_id: UUID = Field(foreign_key="account.id", index=True)
    doctor_id: UUID | None = Field(default=None, foreign_key="doctor.id")
    patient_id: UUID | None = Field(default=None, foreign_key="patient.id")
    created_at: datetime = moment(default=True)
    revoked_at: datetime | None = moment(nullable=True)


@dataclass(frozen=True, slots=True)
class Busy:
    """A visit as a calendar sees it. `version` counts its changes."""

    id: UUID
    start: datetime
    end: datetime
    status: str
    version: int


_table, _visit = table_of(CalendarFeed), table_of(Appointment).c
_feed = _table.c
_ALIVE: Final = Query(
    select(*_feed).where(_feed.token_hash == bindparam("hash"), _feed.revoked_at.is_(None))
)


async def open_feed(session: Executor, clinic: Clinic, me: Me) -> tuple[CalendarFeed, str]:
    """Make a feed of the caller's own calendar; return it with its secret, which is not kept.

    Raises Forbidden for a token that may not see the whole calendar: the feed would.
    """
    if me.scope and me.scope.reach(Action.READ, ResourceType.APPOINTMENT) is not Reach.ALL:
        raise Forbidden("the token is not for this", code="insufficient-scope")
    secret = secrets.token_urlsafe(32)
    doctor_id = me.subject.doctor_id
    feed = CalendarFeed(
        token_hash=_hash(secret),
        account_id=me.subject.id,
        doctor_id=doctor_id,
        patient_id=None if doctor_id else me.subject.patient_id,
    )
    if not (feed.doctor_id or feed.patient_id):
        raise NotFound("you have no calendar of your own")
    await add(session, feed)
    await clinic.trail.note_within(session, _event(me, feed.id, "feed-opened"))
    return feed, secret


async def list_feeds(clinic: Clinic, me: Me) -> Sequence[Mapping[str, Any]]:
    """Return the caller's feeds that still work."""
    mine = (_feed.account_id == me.subject.id, _feed.revoked_at.is_(None))
    return await clinic.database.select(select(*_feed).where(*mine).order_by(_feed.id))


async def revoke_feed(session: Executor, clinic: Clinic, me: Me, feed_id: UUID) -> None:
    """Make an address worthless at once; raise NotFound for one that is not the caller's."""
    mine = (_feed.id == feed_id, _feed.account_id == me.subject.id, _feed.revoked_at.is_(None))
    ending = update(_table).where(*mine).values(revoked_at=now()).returning(_feed.id)
    if (await session.execute(ending)).first() is None:
        raise NotFound("there is no such feed")
    await clinic.trail.note_within(session, _event(me, feed_id, "feed-revoked"))


async def read_feed(clinic: Clinic, secret: str, origin: Origin) -> tuple[UUID, list[Busy]]:
    """Return a feed's id and what is in it, as its owner may see it now; raise NotFound otherwise."""
    feed = await clinic.database.one(_ALIVE, hash=_hash(secret))
    if feed is None:
        raise NotFound("there is no such feed")
    owner = await account_as_caller(clinic.database, feed["account_id"])
    if owner is None:
        raise NotFound("there is no such feed")
    me = Me(owner.subject, owner.environment, origin)
    found = await clinic.database.select(_wanted(clinic, me, feed), asking(me))
    shown: list[Busy] = []
    for first in range(0, len(found), NOTED):
        page = found[first : first + NOTED]
        permits = await clinic.gate.disclose(me, ResourceType.APPOINTMENT, map(resource_of, page))
        shown += [_busy(row) for row in page if row["resource_id"] in permits]
    return feed["id"], shown


def _wanted(clinic: Clinic, me: Me, feed: Mapping[str, Any]) -> Select[Any]:
    """Select the visits of a feed; nothing sealed in them is opened."""
    of = or_(_visit.doctor_id == feed["doctor_id"], _visit.patient_id == feed["patient_id"])
    return (
        selected()
        .where(
            of,
            _visit.status != "entered-in-error",
            _visit.starts_at.between(now() - BACK, now() + AHEAD),
            clinic.visible(me, ResourceType.APPOINTMENT, COLUMNS),
        )
        .order_by(_visit.starts_at, _visit.id)
        .limit(SHOWN)
    )


def _busy(row: Mapping[str, Any]) -> Busy:
    head = row["resource_id"], row["starts_at"], row["ends_at"]
    return Busy(*head, row["status"], row["version"])


def _event(me: Me, feed_id: UUID, reason: str) -> Event:
    return Event(
        actor=me.subject.id,
        roles=tuple(me.subject.roles),
        session=me.session,
        origin=me.origin,
        action=Act.TOKEN,
        outcome=Outcome.ALLOW,
        reason=reason,
        purpose=me.environment.purpose,
        patient=me.subject.patient_id,
        resource_type=ResourceType.APPOINTMENT,
        resource_ids=(feed_id,),
    )


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
