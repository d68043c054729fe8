"""Calendar feeds: an address nobody can guess, for a calendar program that cannot log in.

The address stands for the account that made it: every fetch asks the policy of now, as that account, and is on the trail.
So it never shows more than who made it may see, and ends with their rights.
What it shows is that there is a visit, and when; not whose, not why.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    DateTime,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlmodel import Field

from core.clock import now
from core.database import Query
from core.errors import Forbidden, NotFound
from policies.facts import Resource
from policies.scopes import Reach
from policies.vocabulary import Action, Outcome, ResourceType
from records.access.listing import Listing, whole
from records.access.me import Me
from records.access.relations import asking, ids_of
from records.audit.event import Act, Event, Origin
from records.base import Executor, Row, add, moment, table_of
from records.clinic import Clinic
from records.identity.callers import account_as_caller
from records.meanings import fitting
from records.people.reading import patient_in_sight
from records.scheduling.ical import Busy
from records.scheduling.models import Appointment
from records.scheduling.reading import ONE, listing_of, resource_of

BACK: Final = timedelta(days=30)
AHEAD: Final = timedelta(days=365)
RECENT: Final = timedelta(days=1)
SHOWN: Final = 300
"""Visits of a feed at most: what is recent and what is to come before what is over."""
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


_table, _visit = table_of(CalendarFeed), table_of(Appointment).c
_feed = _table.c
_ALIVE: Final = Query(
    select(*_feed).where(_feed.token_hash == bindparam("hash"), _feed.revoked_at.is_(None))
)


def _calendar(of: ColumnElement[bool]) -> Listing:
    """Return the listing of a feed's visits: first those from `recent` on, soonest first, then older ones, latest first.

    Nothing sealed in them is opened.
    """
    since, recent, until = (
        bindparam(n, type_=DateTime(timezone=True)) for n in ("since", "recent", "until")
    )
    apart = func.abs(func.extract("epoch", _visit.starts_at - recent))
    order = [_visit.starts_at < recent, apart, _visit.id]
    return listing_of(of, _visit.starts_at.between(since, until), order=order)


_OF_DOCTOR: Final = _calendar(_visit.doctor_id == bindparam("doctor_id", type_=PGUUID()))
_OF_PATIENT: Final = _calendar(
    _visit.patient_id.in_(ids_of(bindparam("patient_id", type_=PGUUID())))
)


async def open_feed(
    session: Executor,
    clinic: Clinic,
    me: Me,
    doctor_id: UUID | None = None,
    patient_id: UUID | None = None,
) -> tuple[CalendarFeed, str]:
    """Make a feed of a doctor's calendar or a patient's, or else the caller's own; return it with its secret, which is not kept.

    Raises NotFound or Forbidden for a calendar the caller may not read, and Forbidden for a token that may not see all of
    it: the feed would.
    """
    if me.scope and me.scope.reach(Action.READ, ResourceType.APPOINTMENT) is not Reach.ALL:
        raise Forbidden("the token is not for this", code="insufficient-scope")
    if doctor_id is None and patient_id is None:
        doctor_id = me.subject.doctor_id
        patient_id = None if doctor_id else me.subject.patient_id
    if doctor_id is None and patient_id is None:
        raise NotFound("you have no calendar of your own")
    await _require(clinic, me, doctor_id, patient_id)
    secret = secrets.token_urlsafe(32)
    feed = CalendarFeed(
        token_hash=_hash(secret),
        account_id=me.subject.id,
        doctor_id=doctor_id,
        patient_id=patient_id,
    )
    with fitting(CalendarFeed):
        await add(session, feed)
    await clinic.trail.note_within(session, _event(me, feed.id, patient_id, "feed-opened"))
    return feed, secret


async def _require(clinic: Clinic, me: Me, doctor_id: UUID | None, patient_id: UUID | None) -> None:
    """Refuse a calendar the caller may not read. What is in it is decided visit by visit at every fetch."""
    calendar = Resource(ResourceType.APPOINTMENT, doctor_id=doctor_id)
    if patient_id:
        whom = await patient_in_sight(clinic, me, patient_id)
        calendar = replace(whom, type=ResourceType.APPOINTMENT, id=None)
    await clinic.gate.require(me, Action.READ, calendar)


async def list_feeds(clinic: Clinic, me: Me) -> Sequence[Mapping[str, Any]]:
    """Return the feeds that still work: those the caller made, and those that others made of the caller's calendar."""
    return await clinic.database.select(select(*_feed).where(_mine(me)).order_by(_feed.id))


async def revoke_feed(session: Executor, clinic: Clinic, me: Me, feed_id: UUID) -> None:
    """Make an address worthless at once; raise NotFound for one that is not of the caller's list."""
    ending = update(_table).where(_feed.id == feed_id, _mine(me)).values(revoked_at=now())
    gone = (await session.execute(ending.returning(_feed.patient_id))).first()
    if gone is None:
        raise NotFound("there is no such feed")
    await clinic.trail.note_within(session, _event(me, feed_id, gone[0], "feed-revoked"))


def _mine(me: Me) -> ColumnElement[bool]:
    """Whoever made an address may end it, and so may they whose calendar it shows."""
    subject = me.subject
    whose = [_feed.account_id == subject.id]
    whose += [_feed.doctor_id == subject.doctor_id] if subject.doctor_id else []
    whose += [_feed.patient_id.in_(ids_of(subject.patient_id))] if subject.patient_id else []
    return and_(_feed.revoked_at.is_(None), or_(*whose))


async def read_feed(clinic: Clinic, secret: str, origin: Origin) -> tuple[UUID, list[Busy]]:
    """Return a feed's id and what is in it, as its owner may see it now; raise NotFound otherwise."""
    feed = await clinic.database.one(_ALIVE, hash=_hash(secret))
    if feed is None:
        raise NotFound("there is no such feed")
    owner = await account_as_caller(clinic.database, feed["account_id"])
    if owner is None:
        raise NotFound("there is no such feed")
    me = Me(owner.subject, owner.environment, origin)
    query = clinic.gate.listed(me, _OF_PATIENT if feed["patient_id"] else _OF_DOCTOR)
    days = {"since": now() - BACK, "recent": now() - RECENT, "until": now() + AHEAD}
    of = {name: feed[name] for name in ("patient_id", "doctor_id")}
    found = await clinic.database.all(query, **of, **days, **whole(me, SHOWN))
    shown: list[Busy] = []
    for first in range(0, len(found), NOTED):
        page = found[first : first + NOTED]
        permits = await clinic.gate.disclose(me, ResourceType.APPOINTMENT, map(resource_of, page))
        shown += [_busy(row) for row in page if row["resource_id"] in permits]
    return feed["id"], shown


async def read_visit(clinic: Clinic, me: Me, appointment_id: UUID) -> Busy:
    """Return one visit as a calendar sees it, or raise NotFound alike for hidden and absent ones."""
    row = await clinic.database.one(ONE, appointment_id=appointment_id, **asking(me))
    if row is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.APPOINTMENT, appointment_id)
    await clinic.gate.read(me, Action.READ, resource_of(row))
    return _busy(row)


def _busy(row: Mapping[str, Any]) -> Busy:
    head = row["resource_id"], row["starts_at"], row["ends_at"]
    return Busy(*head, row["status"], row["version"])


def _event(me: Me, feed_id: UUID, patient_id: UUID | None, reason: str) -> Event:
    return Event(
        actor=me.subject.id,
        roles=tuple(me.subject.roles),
        session=me.session,
        origin=me.origin,
        action=Act.TOKEN,
        outcome=Outcome.ALLOW,
        reason=reason,
        purpose=me.environment.purpose,
        patient=patient_id,
        resource_type=ResourceType.APPOINTMENT,
        resource_ids=(feed_id,),
    )


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
