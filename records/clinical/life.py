"""The legal life of a record: edited while unsigned, then signed, and from there on only added to.

Each act writes a new version with its author, its time and, where one is due, its reason. Whoever may read the record
is told that its state forbids an act (409, 423); to all others it is hidden as ever. Of two acts at once one wins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import update

from core.crypto.values import read
from core.errors import Conflict, Locked, PreconditionFailed
from core.ids import new_id
from core.merge import merged
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking
from records.base import Executor, add, rewrite, table_of
from records.clinic import Clinic
from records.clinical.content import checked
from records.clinical.models import UNSIGNED, Record, RecordAct, RecordStatus, RecordVersion
from records.clinical.reading import CURRENT, OpenRecord, opened, resource_of
from records.clinical.writing import Words, as_written, seal_version

_record = table_of(Record)
_ACTIONS: Final = {
    RecordAct.EDIT: Action.UPDATE,
    RecordAct.SIGN: Action.SIGN,
    RecordAct.COSIGN: Action.COSIGN,
    RecordAct.AMEND: Action.AMEND,
    RecordAct.CORRECT: Action.AMEND,
    RecordAct.ADDEND: Action.ADDEND,
    RecordAct.RETRACT: Action.RETRACT,
}
_AFTER: Final = {
    RecordAct.SIGN: RecordStatus.FINAL,
    RecordAct.AMEND: RecordStatus.AMENDED,
    RecordAct.CORRECT: RecordStatus.CORRECTED,
    RecordAct.ADDEND: RecordStatus.ADDENDED,
    RecordAct.RETRACT: RecordStatus.ENTERED_IN_ERROR,
}

_HEAD: Final = ("status", "sensitivity", "categories")
"""What of a record's head an act may change."""


@dataclass(frozen=True, slots=True)
class Held:
    """A record taken up for an act: its row, what it says now, the Permit to go on, its labels to come."""

    row: Mapping[str, Any]
    now: OpenRecord
    permit: Permit
    head: Mapping[str, Any]


async def edit(
    session: Executor,
    clinic: Clinic,
    me: Me,
    record_id: UUID,
    patch: Mapping[str, Any],
    expected: int | None,
) -> OpenRecord:
    """Change an unsigned record by a merge patch (RFC 7396) of title, content, labels and status."""
    held = await take_up(session, clinic, me, record_id, RecordAct.EDIT, expected, patch)
    return await write_on(session, clinic, held, RecordAct.EDIT, _words(held, patch))


async def sign(
    session: Executor,
    clinic: Clinic,
    me: Me,
    record_id: UUID,
    expected: int | None,
    *,
    lock: bool = False,
) -> OpenRecord:
    """Sign a record as the caller. `lock` closes it to every later act as well."""
    held = await take_up(session, clinic, me, record_id, RecordAct.SIGN, expected)
    return await write_on(session, clinic, held, RecordAct.SIGN, same_words(held), lock=lock)


async def cosign(
    session: Executor, clinic: Clinic, me: Me, record_id: UUID, expected: int | None
) -> OpenRecord:
    """Sign what another has signed."""
    held = await take_up(session, clinic, me, record_id, RecordAct.COSIGN, expected)
    return await write_on(session, clinic, held, RecordAct.COSIGN, same_words(held))


async def amend(
    session: Executor,
    clinic: Clinic,
    me: Me,
    record_id: UUID,
    patch: Mapping[str, Any],
    expected: int | None,
    *,
    act: RecordAct = RecordAct.AMEND,
) -> OpenRecord:
    """Say anew what a signed record says, with the reason; what was signed stays as a version."""
    held = await take_up(session, clinic, me, record_id, act, expected, patch)
    return await write_on(session, clinic, held, act, _words(held, patch))


async def retract(
    session: Executor, clinic: Clinic, me: Me, record_id: UUID, reason: str, expected: int | None
) -> OpenRecord:
    """Declare a record, signed or not, to be entered in error. It stays readable, marked as such."""
    held = await take_up(session, clinic, me, record_id, RecordAct.RETRACT, expected)
    words = same_words(held) | {"reason": reason}
    return await write_on(session, clinic, held, RecordAct.RETRACT, words)


async def take_up(
    session: Executor,
    clinic: Clinic,
    me: Me,
    record_id: UUID,
    act: RecordAct,
    expected: int | None,
    patch: Mapping[str, Any] = MappingProxyType({}),
) -> Held:
    """Fetch a record for an act and have the gate let it through, as it stands and as it will be.

    Whoever may not read it does nothing to it, whatever a rule about the act says: the answer would show it to them.
    """
    found = await session.execute(CURRENT, {"record_id": record_id, **asking(me)})
    row: Mapping[str, Any] | None = found.mappings().first()
    if row is None:
        await clinic.gate.absent(me, _ACTIONS[act], ResourceType.RECORD, record_id)
    before = resource_of(row)
    await clinic.gate.require(me, Action.READ, before)
    if refused := refusal(row, act, expected):
        raise refused
    head = {name: patch.get(name, row[name]) for name in _HEAD}
    after = resource_of({**row, **head})
    permit = await clinic.gate.write(session, me, _ACTIONS[act], before, after)
    return Held(row, await opened(clinic, me, permit, row), permit, head)


async def write_on(
    session: Executor,
    clinic: Clinic,
    held: Held,
    act: RecordAct,
    words: Words,
    *,
    lock: bool = False,
) -> OpenRecord:
    """Write the next version, unless another act came first."""
    row, permit = held.row, held.permit
    names = ("id", "patient_id", "appointment_id", "author_id", "kind", "addendum_to", "source")
    kept = {name: row[name] for name in (*names, "created_at")}
    head = {**held.head, "status": _AFTER.get(act, held.head["status"])}
    record = Record(**kept, **head, locked=lock, version=row["number"] + 1)
    key = await clinic.key(row)
    version = RecordVersion(
        id=new_id(),
        patient_id=record.patient_id,
        key_id=key.key_id,
        record_id=record.id,
        number=record.version,
        act=act,
        author_id=permit.subject_id,
        **head,
    )
    words = {"reason": None} | words
    seal_version(clinic, permit, key, record, version, words)
    await _move(session, record)
    await add(session, version)
    return as_written(record, version, words)


async def _move(session: Executor, record: Record) -> None:
    """Move the head to the next version: a compare-and-swap, so that of two acts at once one fails."""
    values = {n: getattr(record, n) for n in (*_HEAD, "locked", "version")}
    head = _record.c
    swap = update(_record).where(head.id == record.id, head.version == record.version - 1)
    if not await rewrite(session, swap.values(values)):
        raise Conflict("another act on this record came first", code="record-changed")


def refusal(row: Mapping[str, Any], act: RecordAct, expected: int | None) -> Exception | None:
    """Return why the state of a record forbids an act, if it does."""
    unsigned = row["status"] in UNSIGNED
    if row["locked"]:
        return Locked("this record is locked", code="record-locked")
    if row["status"] == RecordStatus.ENTERED_IN_ERROR:
        return Conflict("this record was entered in error", code="record-retracted")
    if act in (RecordAct.EDIT, RecordAct.SIGN) and not unsigned:
        return Conflict("a signed record is never changed", code="record-signed")
    if act not in (RecordAct.EDIT, RecordAct.SIGN, RecordAct.RETRACT) and unsigned:
        return Conflict("this record is not signed yet", code="record-unsigned")
    if expected is not None and expected != row["number"]:
        return PreconditionFailed("the record has another version now")
    return None


def _words(held: Held, patch: Mapping[str, Any]) -> Words:
    words = same_words(held) | {k: v for k, v in patch.items() if k in ("title", "reason")}
    if "content" in patch:
        whole = merged(read(held.now.content), patch["content"])
        foreign = held.row["source"] is not None
        words["content"] = whole if foreign else checked(held.row["kind"], whole)
    return words


def same_words(held: Held) -> Words:
    """Return what the record says now, for a version that says the same."""
    return {"title": held.now.title, "content": held.now.content}
