"""Answering an offer of the waitlist: taking it, declining it, waiting on, leaving."""

from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import update

from core.database import Session
from core.errors import Conflict, PreconditionFailed
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking
from records.base import rewrite, table_of
from records.clinic import Clinic
from records.scheduling.changing import BOOKED, Why, call_off, changed, locked
from records.scheduling.models import Act, CancellationReason
from records.scheduling.offering import ENDS
from records.scheduling.reading import OpenAppointment
from records.scheduling.waiting import ONE, resource_of
from records.scheduling.waitlist import EntryStatus, WaitlistEntry

_table: Final = table_of(WaitlistEntry)
_entry: Final = _table.c


async def accept(
    session: Session, clinic: Clinic, me: Me, entry_id: UUID, why: Why
) -> OpenAppointment:
    """Book what is offered; the later visit the entry names is given up in the same transaction."""
    entry = await _seen(session, clinic, me, Action.READ, entry_id, why)
    permit = await clinic.gate.read(me, Action.READ, resource_of(entry))
    words = await clinic.reveal(me, permit, WaitlistEntry, entry)
    row = await locked(session, clinic, me, Act.CONFIRM, _offered(entry))
    _refuse_gone(row)
    reason, how = words["reason"], (Act.CONFIRM, Action.BOOK)
    said = str(reason) if reason else None
    return await changed(session, clinic, me, *how, row, BOOKED, Why(note=why.note), reason=said)


async def decline(session: Session, clinic: Clinic, me: Me, entry_id: UUID, why: Why) -> None:
    """Refuse what is offered; it goes to the next who waits."""
    entry = await _seen(session, clinic, me, Action.CANCEL, entry_id, why)
    await _let_go(session, clinic, me, _offered(entry), why)


async def resume(session: Session, clinic: Clinic, me: Me, entry_id: UUID, why: Why) -> None:
    """Wait again, at the old place in the line, after an offer was declined or ran out."""
    entry = await _seen(session, clinic, me, Action.CREATE, entry_id, why)
    back = (EntryStatus.DECLINED, EntryStatus.EXPIRED)
    await _turn(session, entry, back, status=EntryStatus.WAITING, offer_id=None)


async def leave(session: Session, clinic: Clinic, me: Me, entry_id: UUID, why: Why) -> None:
    """Leave the list; what is offered goes to the next."""
    entry = await _seen(session, clinic, me, Action.CANCEL, entry_id, why)
    stands = {EntryStatus(entry["status"])} - {EntryStatus.BOOKED, EntryStatus.REMOVED}
    if EntryStatus.OFFERED in stands:
        await _let_go(session, clinic, me, entry["offer_id"], why)
        stands = {ENDS[Act.CANCEL]}
    await _turn(session, entry, stands, status=EntryStatus.REMOVED)


async def _seen(
    session: Session, clinic: Clinic, me: Me, action: Action, entry_id: UUID, why: Why
) -> Mapping[str, Any]:
    """Return the entry as it is, if the caller may see it and do this to it and saw this version."""
    found = await session.execute(ONE, {"entry_id": entry_id, **asking(me)})
    entry: Mapping[str, Any] | None = found.mappings().first()
    if entry is None:
        await clinic.gate.absent(me, action, ResourceType.WAITLIST, entry_id)
    resource = resource_of(entry)
    await clinic.gate.require(me, Action.READ, resource)
    if action is not Action.READ:
        await clinic.gate.write(session, me, action, resource)
    if why.version not in (None, entry["version"]):
        raise PreconditionFailed("the entry has changed since you read it")
    return entry


async def _let_go(session: Session, clinic: Clinic, me: Me, hold_id: UUID, why: Why) -> None:
    row = await locked(session, clinic, me, Act.CANCEL, hold_id)
    _refuse_gone(row)
    await call_off(session, clinic, me, row, CancellationReason.PATIENT, Why(note=why.note))


async def _turn(
    session: Session, entry: Mapping[str, Any], before: Collection[EntryStatus], **values: Any
) -> None:
    """Change an entry that stands in one of these statuses; whoever was faster wins."""
    turning = update(_table).where(_entry.id == entry["row_id"], _entry.status.in_(before))
    turning = turning.values(**values, version=_entry.version + 1)
    if not await rewrite(session, turning):
        raise Conflict("the entry is not in a state for this", code="waitlist-state")


def _offered(entry: Mapping[str, Any]) -> UUID:
    if entry["status"] != EntryStatus.OFFERED:
        raise Conflict("nothing is offered to this entry", code="no-offer")
    offer_id: UUID = entry["offer_id"]
    return offer_id


def _refuse_gone(row: Mapping[str, Any]) -> None:
    if row["held_until"] is None:
        raise Conflict("the offer is gone", code="no-offer")
