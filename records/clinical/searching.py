"""Finding records: by patient, kind and time in SQL; by code among what the caller may read.

A diagnosis has no index: equal tokens would say who has the same illness. So a code is looked for in the opened
content of some hundreds of records that the policy lets the caller read, newest first, and the search says where it stopped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import ColumnElement, DateTime, Text, bindparam

from policies.permit import Permit
from policies.vocabulary import ResourceType
from records.access.listing import BEFORE, Listing, page
from records.access.me import Me
from records.access.relations import ids_of
from records.base import table_of
from records.clinic import Clinic
from records.clinical.content import codes_of
from records.clinical.models import Record, RecordKind, RecordVersion
from records.clinical.reading import OpenRecord, disclosed, facts_of, record_rows, resource_of
from records.people.reading import patient_in_sight
from records.vault.vault import still_there

BATCH: Final = 100
"""Records compared at once: one event names them all."""
ROUNDS: Final = 5

_record = table_of(Record).c
_FILTERS: Final[Mapping[str, ColumnElement[bool]]] = {
    "patient_id": _record.patient_id.in_(ids_of(bindparam("patient_id", type_=PGUUID()))),
    "kind": _record.kind == bindparam("kind", type_=Text()),
    "since": _record.created_at >= bindparam("since", type_=DateTime(timezone=True)),
    "until": _record.created_at < bindparam("until", type_=DateTime(timezone=True)),
}
"""What of `Wanted` a statement can ask; a code stands sealed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are looked for; `since` and `until` bound when they were first written: [since, until)."""

    patient_id: UUID | None = None
    kind: RecordKind | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def search_records(
    clinic: Clinic, me: Me, wanted: Wanted, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[OpenRecord], UUID | None]:
    """Return records that fit, newest first, and where to go on. A page by code may be short and yet have a next."""
    if wanted.patient_id:
        await patient_in_sight(clinic, me, wanted.patient_id)
    if wanted.code:
        fits, last = await _by_code(clinic, me, wanted, limit, after)
    else:
        rows = await _found(clinic, me, wanted, limit + 1, after)
        fits, last = rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None
    return await disclosed(clinic, me, fits), last


async def _by_code(
    clinic: Clinic, me: Me, wanted: Wanted, limit: int, after: UUID | None
) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
    fits: list[Mapping[str, Any]] = []
    for _ in range(ROUNDS):
        rows = await _found(clinic, me, wanted, BATCH, after)
        for row in await _fitting(clinic, me, wanted, rows):
            fits.append(row)
            if len(fits) == limit:
                return fits, row["id"]
        if len(rows) < BATCH:
            return fits, None
        after = rows[-1]["id"]
    return fits, after


async def _fitting(
    clinic: Clinic, me: Me, wanted: Wanted, rows: Sequence[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    """Open rows to compare their codes, once the trail knows of it."""
    found = [resource_of(row) for row in rows]
    permits = await clinic.gate.screen(me, ResourceType.RECORD, found, "by code")
    sought = _plain(wanted.code or "")
    return [
        row
        for row in rows
        if (permit := permits.get(row["id"]))
        and sought in map(_plain, codes_of(await _content(clinic, me, permit, row)))
    ]


async def _content(clinic: Clinic, me: Me, permit: Permit, row: Mapping[str, Any]) -> Any:
    return (await clinic.reveal(me, permit, RecordVersion, row))["content"]


async def _found(
    clinic: Clinic, me: Me, wanted: Wanted, limit: int, after: UUID | None
) -> Sequence[Mapping[str, Any]]:
    """Return up to so many records that fit and that the caller may read, still sealed."""
    given = {n: value for n in _FILTERS if (value := getattr(wanted, n)) is not None}
    query = clinic.gate.listed(me, _listing(frozenset(given)), limit)
    return await clinic.database.all(query, **given, **page(me, limit - 1, after))


@cache
def _listing(filters: frozenset[str]) -> Listing:
    """Return the listing of what fits filters of these names: a statement for each choice of them, compiled once."""
    fitting = [_FILTERS[name] for name in sorted(filters)]
    rows = record_rows().where(still_there(), _record.id < BEFORE, *fitting)
    return Listing(ResourceType.RECORD, rows.order_by(_record.id.desc()), facts_of)


def _plain(code: str) -> str:
    """Spelling does not matter: G43.109 is g43109."""
    return code.replace(".", "").strip().casefold()
