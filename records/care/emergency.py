"""Break-glass: a clinician opens one patient's chart in an emergency, for hours, with a reason, to be reviewed.

The grant and its event commit together, before anything is read under it. Hard denies stay.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import Select, bindparam, case, func, literal, select, true, update

from core.clock import now
from core.crypto.envelope import Value
from core.database import Database, Query
from core.errors import Conflict
from core.ids import new_id
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.listing import BEFORE, Listing, cut, page
from records.access.me import Me
from records.access.models import BreakGlass
from records.access.relations import ids_of
from records.base import Executor, add, rewrite, table_of
from records.clinic import Clinic
from records.people.reading import patient_with_key
from records.vault.vault import sealed_rows, still_there, with_key

LONGEST: Final = timedelta(hours=4)
REVIEW_WITHIN: Final = timedelta(hours=72)
"""How soon after it was granted a grant is to be reviewed."""

_table = table_of(BreakGlass)
_grant = _table.c
_due = _grant.granted_at + literal(REVIEW_WITHIN)
_HEAD: Final = ("reason_code", "granted_at", "expires_at", "reviewed_by", "reviewed_at", "verdict")


class Reason(StrEnum):
    """Why the glass was broken. The first two are HL7 v3 ActReason codes."""

    ETREAT = "ETREAT"
    BTG = "BTG"
    EMERGENCY = "emergency"
    UNCONSCIOUS = "unconscious"
    COVER = "cover"
    HANDOVER = "handover"
    SAFETY = "safety"
    OTHER = "other"


def _select() -> Select[Any]:
    head = [_grant[name] for name in _HEAD]
    return sealed_rows(BreakGlass, *head, _grant.account_id.label("author_id"), _due.label("due"))


_ID: Final = bindparam("grant_id", type_=PGUUID())
_ONE: Final = _select().where(_grant.id == _ID)
_READ: Final = Query(_ONE)
_REVIEWED: Final = _grant.reviewed_at.is_not(None)
_LISTINGS: Final = {
    reviewed: Listing(
        ResourceType.BREAK_GLASS,
        _select().where(still_there(), _grant.id < BEFORE, fits).order_by(_grant.id.desc()),
        lambda grant: {"patient_id": grant.patient_id, "author_id": grant.author_id},
    )
    for reviewed, fits in ((None, true()), (True, _REVIEWED), (False, ~_REVIEWED))
}
_WAITING: Final = Query(
    select(
        func.count(case((_due > func.now(), 1))).label("due"),
        func.count(case((_due <= func.now(), 1))).label("overdue"),
    )
    .select_from(with_key(BreakGlass))
    .where(_grant.reviewed_at.is_(None), still_there())
)


async def break_glass(
    session: Executor,
    clinic: Clinic,
    me: Me,
    patient_id: UUID,
    reason: Reason,
    explanation: str,
    life: timedelta,
) -> Mapping[str, Any]:
    """Grant the caller a patient's chart for a time; the event is of the same transaction."""
    await clinic.gate.require(me, Action.CREATE, Resource(ResourceType.BREAK_GLASS))
    row = await patient_with_key(session, clinic, me, Action.CREATE, patient_id)
    patient_id = row["patient_id"]
    grant_id, granted = new_id(), now()
    resource = Resource(
        ResourceType.BREAK_GLASS, id=grant_id, patient_id=patient_id, author_id=me.subject.id
    )
    permit = await clinic.gate.write(session, me, Action.CREATE, resource)
    key = await clinic.key(row)
    cells = clinic.vault.seal(permit, BreakGlass, key, grant_id, explanation=explanation)
    grant = BreakGlass(
        id=grant_id,
        patient_id=patient_id,
        key_id=key.key_id,
        account_id=me.subject.id,
        reason_code=reason,
        granted_at=granted,
        expires_at=granted + min(life, LONGEST),
        **cells,
    )
    await add(session, grant)
    head = {name: getattr(grant, name) for name in _HEAD}
    due = granted + REVIEW_WITHIN
    fetched = {**head, "resource_id": grant_id, "patient_id": patient_id, "due": due}
    opened = {"explanation": explanation, "remark": None}
    return _shown({**fetched, "author_id": me.subject.id}, opened)


async def list_grants(
    clinic: Clinic, me: Me, *, limit: int, after: UUID | None = None, reviewed: bool | None = None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    """Return the grants the caller may see (reviewers: all but their own), newest first."""
    span = page(me, limit, after)
    query = clinic.gate.listed(me, _LISTINGS[reviewed], span["limit"])
    rows = await clinic.database.all(query, **span)
    first, last = cut(rows, limit)
    found = await clinic.disclose(me, ResourceType.BREAK_GLASS, BreakGlass, first, _resource)
    return [_shown(row, phi) for row, phi in found], last


async def read_grant(clinic: Clinic, me: Me, grant_id: UUID) -> Mapping[str, Any]:
    """Return one grant, or raise NotFound alike for what is hidden and what is not there."""
    row = await clinic.database.one(_READ, grant_id=grant_id)
    if row is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.BREAK_GLASS, grant_id)
    permit = await clinic.gate.read(me, Action.READ, _resource(row))
    return _shown(row, await clinic.reveal(me, permit, BreakGlass, row))


async def end_grant(session: Executor, clinic: Clinic, me: Me, grant_id: UUID) -> None:
    """End a grant before its time, and whatever else its holder has for the patient: the emergency is over."""
    row = await _found(session, clinic, me, Action.UPDATE, grant_id)
    await clinic.gate.write(session, me, Action.UPDATE, _resource(row))
    theirs = _grant.account_id == row["author_id"], _grant.patient_id.in_(ids_of(row["patient_id"]))
    ending = update(_table).where(*theirs, _grant.expires_at > func.now())
    await rewrite(session, ending.values(expires_at=func.now()))


async def review(
    session: Executor,
    clinic: Clinic,
    me: Me,
    grant_id: UUID,
    *,
    justified: bool,
    remark: str | None,
) -> Mapping[str, Any]:
    """Say of somebody else's grant whether it was justified: once."""
    row = await _found(session, clinic, me, Action.REVIEW, grant_id)
    permit = await clinic.gate.write(session, me, Action.REVIEW, _resource(row))
    opened = await clinic.reveal(me, permit, BreakGlass, row)
    verdict = {
        "verdict": "justified" if justified else "unjustified",
        "reviewed_by": me.subject.id,
        "reviewed_at": now(),
    }
    cells = clinic.vault.seal(permit, BreakGlass, await clinic.key(row), grant_id, remark=remark)
    reviewing = update(_table).where(_grant.id == grant_id, _grant.reviewed_at.is_(None))
    values = verdict | {"remark": cells["remark"]}
    if not await rewrite(session, reviewing.values(values)):
        raise Conflict("this grant was reviewed before", code="already-reviewed")
    return _shown({**row, **verdict}, {**opened, "remark": remark})


async def waiting(database: Database) -> Mapping[str, int]:
    """Return how many grants wait for their review, `due` in time and `overdue`; those of who was erased cannot be reviewed."""
    row = await database.one(_WAITING)
    assert row is not None
    return dict(row)


async def _found(
    session: Executor, clinic: Clinic, me: Me, action: Action, grant_id: UUID
) -> Mapping[str, Any]:
    found = await session.execute(_ONE, {"grant_id": grant_id})
    row: Mapping[str, Any] | None = found.mappings().first()
    if row is None:
        await clinic.gate.absent(me, action, ResourceType.BREAK_GLASS, grant_id)
    return row


def _resource(row: Mapping[str, Any]) -> Resource:
    return Resource(
        ResourceType.BREAK_GLASS,
        id=row["resource_id"],
        patient_id=row["patient_id"],
        author_id=row["author_id"],
    )


def _shown(row: Mapping[str, Any], opened: Mapping[str, Value | None]) -> Mapping[str, Any]:
    late = row["reviewed_at"] is None and row["due"] <= now()
    head = {name: row[name] for name in _HEAD}
    ids = {
        "id": row["resource_id"],
        "patient_id": row["patient_id"],
        "account_id": row["author_id"],
    }
    return {**ids, **head, "review_due_at": row["due"], "overdue": late, **opened}
