"""Attachments of a record (`files.py`). A record that is signed takes none. The event of a download is on disk before the first byte leaves."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import bindparam

from core.blobs import Blobs
from core.database import Query
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking
from records.base import add, table_of
from records.clinic import Clinic
from records.clinical.files import HEAD, OpenFile, bytes_of, opened, received, sealed_row, stated
from records.clinical.intake import Intake
from records.clinical.life import refusal
from records.clinical.models import Attachment, Record, RecordAct
from records.clinical.reading import CURRENT, fetched, resource_of
from records.vault.vault import locked_row, sealed_rows

_attachment = table_of(Attachment).c
_LOCKED: Final = CURRENT.with_for_update(of=table_of(Record))
_OF_RECORD: Final = sealed_rows(Attachment, *(_attachment[name] for name in HEAD)).where(
    _attachment.record_id == bindparam("record_id", type_=PGUUID())
)
_ALL: Final = Query(_OF_RECORD.order_by(_attachment.id))
_ONE: Final = Query(_OF_RECORD.where(_attachment.id == bindparam("attachment_id", type_=PGUUID())))


@dataclass(frozen=True, slots=True)
class OpenAttachment(OpenFile):
    """An attachment as its reader sees it."""

    record_id: UUID


async def attach(
    clinic: Clinic,
    me: Me,
    blobs: Blobs,
    record_id: UUID,
    name: str,
    pieces: AsyncIterator[bytes],
) -> OpenAttachment:
    """Attach a file to a record that is not signed yet. What arrives is sealed piece by piece."""
    row = await fetched(clinic, me, Action.UPDATE, record_id)
    await clinic.gate.require(me, Action.UPDATE, await _unsigned(clinic, me, row))
    intake = Intake(blobs, row["patient_id"], name)
    return await received(intake, pieces, lambda: _keep(clinic, me, record_id, intake))


async def list_attachments(clinic: Clinic, me: Me, record_id: UUID) -> Sequence[OpenAttachment]:
    """Return what is attached to a record, oldest first."""
    row = await fetched(clinic, me, Action.READ, record_id)
    permit = await clinic.gate.read(me, Action.READ, resource_of(row))
    rows = await clinic.database.all(_ALL, record_id=record_id)
    return [_shown(r, await clinic.reveal(me, permit, Attachment, r)) for r in rows]


async def open_attachment(
    clinic: Clinic, me: Me, blobs: Blobs, record_id: UUID, attachment_id: UUID
) -> tuple[OpenAttachment, AsyncIterator[bytes]]:
    """Return an attachment and its bytes, of which the first piece is authentic already."""
    row = await fetched(clinic, me, Action.READ, record_id)
    permit = await clinic.gate.read(me, Action.READ, resource_of(row))
    found = await clinic.database.one(_ONE, record_id=record_id, attachment_id=attachment_id)
    if found is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.RECORD, record_id)
    phi = await clinic.reveal(me, permit, Attachment, found)
    return _shown(found, phi), await bytes_of(clinic, me, permit, blobs, found, phi)


async def _keep(clinic: Clinic, me: Me, record_id: UUID, intake: Intake) -> OpenAttachment:
    """Write the row, if that may still be: the record may have been signed, or labelled, while the bytes came in."""
    async with clinic.database.transaction() as session:
        row = await locked_row(session, _LOCKED, {"record_id": record_id, **asking(me)})
        if row is None:
            await clinic.gate.absent(me, Action.UPDATE, ResourceType.RECORD, record_id)
        resource = await _unsigned(clinic, me, row)
        permit = await clinic.gate.write(session, me, Action.UPDATE, resource)
        key = await clinic.key(row)
        kept = sealed_row(clinic, permit, Attachment, key, intake, record_id=record_id)
        await add(session, kept)
    return OpenAttachment(record_id=record_id, **stated(kept, intake))


async def _unsigned(clinic: Clinic, me: Me, row: Mapping[str, Any]) -> Resource:
    """Return what decisions look at of a record; refuse one whose state takes no files."""
    resource = resource_of(row)
    if refused := refusal(row, RecordAct.EDIT, None):
        await clinic.gate.require(me, Action.READ, resource)
        raise refused
    return resource


def _shown(row: Mapping[str, Any], phi: Mapping[str, Any]) -> OpenAttachment:
    return OpenAttachment(record_id=row["resource_id"], **opened(row, phi))
