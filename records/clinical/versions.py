"""The versions of a record. An old one is decided and noted like the present one: as the record stands now, and as it was."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import Integer, bindparam, true

from core.database import Query
from policies.vocabulary import Action, ResourceType
from records.access.listing import Listing, whole, with_facts
from records.access.me import Me
from records.access.relations import asking
from records.base import table_of
from records.clinic import Clinic
from records.clinical.models import Record, RecordVersion
from records.clinical.reading import (
    LABELS,
    OpenRecord,
    disclosed,
    facts_of,
    opened,
    record_in_sight,
    resource_of,
    version_rows,
)
from records.vault.vault import still_there

_record, _version = table_of(Record).c, table_of(RecordVersion).c
_ALL: Final = version_rows(_version, true()).where(
    _record.id == bindparam("record_id", type_=PGUUID())
)
_NOW: Final = [_record[name].label(f"{name}_now") for name in ("status", "sensitivity")]
_ONE: Final = Query(
    with_facts(_ALL.add_columns(*_NOW), facts_of).where(
        _version.number == bindparam("number", type_=Integer())
    )
)
_OF_RECORD: Final = Listing(
    ResourceType.RECORD, _ALL.where(still_there()).order_by(_version.number.desc()), facts_of
)


async def list_versions(clinic: Clinic, me: Me, record_id: UUID) -> Sequence[OpenRecord]:
    """Return the versions of a record that the caller may read, newest first."""
    await record_in_sight(clinic, me, record_id)
    query = clinic.gate.listed(me, _OF_RECORD)
    rows = await clinic.database.all(query, record_id=record_id, **whole(me))
    return await disclosed(clinic, me, rows)


async def read_version(clinic: Clinic, me: Me, record_id: UUID, number: int) -> OpenRecord:
    """Return one version of a record, or raise NotFound alike for what is hidden and what is not there."""
    row = await clinic.database.one(_ONE, record_id=record_id, number=number, **asking(me))
    if row is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.RECORD, record_id)
    now = {**row, **{name: row[f"{name}_now"] for name in LABELS}}
    await clinic.gate.require(me, Action.READ, resource_of(now))
    permit = await clinic.gate.read(me, Action.READ, resource_of(row))
    return await opened(clinic, me, permit, row)
