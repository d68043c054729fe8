"""Addenda: a record of its own, signed as it is written, that adds to a signed one without touching it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import bindparam

from core.crypto.envelope import Value
from core.ids import new_id
from policies.vocabulary import Action, ResourceType, Sensitivity
from records.access.listing import Listing, whole
from records.access.me import Me
from records.base import Executor, add, table_of
from records.clinic import Clinic
from records.clinical.content import checked
from records.clinical.life import same_words, take_up, write_on
from records.clinical.models import Record, RecordAct, RecordKind, RecordStatus
from records.clinical.reading import (
    OpenRecord,
    disclosed,
    facts_of,
    record_in_sight,
    record_rows,
    resource_of,
)
from records.clinical.writing import Draft, as_written, rows_of
from records.vault.vault import still_there

_record = table_of(Record).c
_OF: Final = _record.addendum_to == bindparam("record_id", type_=PGUUID())
_OF_RECORD: Final = Listing(
    ResourceType.RECORD, record_rows().where(still_there(), _OF).order_by(_record.id), facts_of
)


async def addend(
    session: Executor,
    clinic: Clinic,
    me: Me,
    record_id: UUID,
    title: str,
    content: Value,
    expected: int | None = None,
) -> OpenRecord:
    """Add a note to a signed record and return the note. It is labelled as what it adds to."""
    held = await take_up(session, clinic, me, record_id, RecordAct.ADDEND, expected)
    draft = Draft(
        RecordKind.NOTE,
        title,
        checked(RecordKind.NOTE, content),
        Sensitivity(held.row["sensitivity"]),
        held.row["categories"],
        RecordStatus.FINAL,
        addendum_to=record_id,
    )
    mine = replace(resource_of(held.row), id=new_id(), author_id=me.subject.id, kind=draft.kind)
    permit = await clinic.gate.write(session, me, Action.ADDEND, mine)
    await write_on(session, clinic, held, RecordAct.ADDEND, same_words(held))
    key, visit_id = await clinic.key(held.row), held.row["appointment_id"]
    (row_id,) = permit.row_ids
    record, version = rows_of(clinic, permit, key, row_id, visit_id, draft)
    await add(session, record, version)
    return as_written(record, version, draft.words)


async def list_addenda(clinic: Clinic, me: Me, record_id: UUID) -> Sequence[OpenRecord]:
    """Return the addenda of a record that the caller may read, oldest first."""
    await record_in_sight(clinic, me, record_id)
    query = clinic.gate.listed(me, _OF_RECORD)
    rows = await clinic.database.all(query, record_id=record_id, **whole(me))
    return await disclosed(clinic, me, rows)
