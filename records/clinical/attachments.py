"""Attachments of a record: sealed while they arrive, opened while they leave, in constant memory either way.

The bytes are a file under the patient's key (C2, in chunks); name, type and checksum are sealed columns. A record that is
signed takes none. The event of a download is on disk before the first byte leaves.
"""

from asyncio import to_thread
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import bindparam, select

from core.blobs import Blobs
from core.crypto.cobblestone import decrypt_stream
from core.crypto.envelope import DecryptError
from core.database import Query
from core.errors import Conflict
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking
from records.base import add, table_of
from records.clinic import Clinic, Unreadable
from records.clinical.intake import Intake, context_of
from records.clinical.life import refusal
from records.clinical.models import UNSIGNED, Attachment, CardImage, Record, RecordAct
from records.clinical.reading import CURRENT, record_in_sight, resource_of
from records.vault.vault import sealed_rows

_attachment, _record = table_of(Attachment).c, table_of(Record).c
HEAD: Final = ("size", "created_by", "created_at")
_ID: Final = bindparam("record_id", type_=PGUUID())
_RECORD: Final = Query(CURRENT)
_OF_RECORD: Final = sealed_rows(Attachment, *(_attachment[name] for name in HEAD)).where(
    _attachment.record_id == _ID
)
_ALL: Final = Query(_OF_RECORD.order_by(_attachment.id))
_ONE: Final = Query(_OF_RECORD.where(_attachment.id == bindparam("attachment_id", type_=PGUUID())))

T = TypeVar("T")
Kept = TypeVar("Kept", Attachment, CardImage)


@dataclass(frozen=True, slots=True)
class OpenAttachment:
    """An attachment as its reader sees it. `sha256` (hex) and `size` are of the bytes that were sent."""

    id: UUID
    record_id: UUID
    name: str
    media_type: str
    size: int
    sha256: str
    created_by: UUID
    created_at: datetime


async def attach(
    clinic: Clinic,
    me: Me,
    blobs: Blobs,
    record_id: UUID,
    name: str,
    pieces: AsyncIterator[bytes],
) -> OpenAttachment:
    """Attach a file to a record that is not signed yet. What arrives is sealed piece by piece."""
    row = await _record_of(clinic, me, Action.UPDATE, record_id)
    before = resource_of(row)
    if refused := refusal(row, RecordAct.EDIT, None):
        await clinic.gate.require(me, Action.READ, before)
        raise refused
    await clinic.gate.require(me, Action.UPDATE, before)
    intake = Intake(blobs, await clinic.key(row), row["patient_id"], name)
    return await received(intake, pieces, lambda: _keep(clinic, me, record_id, row, intake))


async def received(
    intake: Intake, pieces: AsyncIterator[bytes], keep: Callable[[], Awaitable[T]]
) -> T:
    """Take a file in and keep it; of one that is not kept nothing stays."""
    try:
        async for piece in pieces:
            await to_thread(intake.take, piece)
        await to_thread(intake.finish)
        return await keep()
    except BaseException:
        await to_thread(intake.drop)
        raise


async def list_attachments(clinic: Clinic, me: Me, record_id: UUID) -> Sequence[OpenAttachment]:
    """Return what is attached to a record, oldest first."""
    row = await _record_of(clinic, me, Action.READ, record_id)
    permit = await clinic.gate.read(me, Action.READ, resource_of(row))
    rows = await clinic.database.all(_ALL, record_id=record_id)
    return [_shown(r, await clinic.reveal(me, permit, Attachment, r)) for r in rows]


async def open_attachment(
    clinic: Clinic, me: Me, blobs: Blobs, record_id: UUID, attachment_id: UUID
) -> tuple[OpenAttachment, AsyncIterator[bytes]]:
    """Return an attachment and its bytes, of which the first piece is authentic already."""
    row = await _record_of(clinic, me, Action.READ, record_id)
    found = await clinic.database.one(_ONE, record_id=record_id, attachment_id=attachment_id)
    if found is None:
        await record_in_sight(clinic, me, record_id)
        await clinic.gate.absent(me, Action.READ, ResourceType.RECORD, record_id)
    permit = await clinic.gate.read(me, Action.READ, resource_of(row))
    phi: Any = await clinic.reveal(me, permit, Attachment, found)
    return _shown(found, phi), await bytes_of(clinic, me, permit, blobs, found, phi)


async def bytes_of(
    clinic: Clinic,
    me: Me,
    permit: Permit,
    blobs: Blobs,
    row: Mapping[str, Any],
    phi: Mapping[str, Any],
) -> AsyncIterator[bytes]:
    """Return the bytes of an opened row's blob, of which the first piece is authentic already."""
    context = context_of(row["row_id"], row["patient_id"], phi["name"], phi["media_type"])
    opening = decrypt_stream(phi["secret"], context, blobs.pieces(row["row_id"]))
    first = await _next(clinic, me, permit, opening)
    return _rest(clinic, me, permit, opening, first)


async def _rest(
    clinic: Clinic, me: Me, permit: Permit, opening: Iterator[bytes], piece: bytes | None
) -> AsyncIterator[bytes]:
    while piece is not None:
        if piece:
            yield piece
        piece = await _next(clinic, me, permit, opening)


async def _next(clinic: Clinic, me: Me, permit: Permit, opening: Iterator[bytes]) -> bytes | None:
    """Return the next authentic piece, None at the end; what does not open is an event and an error."""
    try:
        return await to_thread(next, opening, None)
    except DecryptError as error:
        await clinic.gate.failed(me, permit, error.code)
    except FileNotFoundError:
        await clinic.gate.failed(me, permit, "blob-missing")
    raise Unreadable("an attachment does not open") from None


async def _record_of(clinic: Clinic, me: Me, action: Action, record_id: UUID) -> Mapping[str, Any]:
    row: Mapping[str, Any] | None = await clinic.database.one(
        _RECORD, record_id=record_id, **asking(me)
    )
    if row is None:
        await clinic.gate.absent(me, action, ResourceType.RECORD, record_id)
    return row


async def _keep(
    clinic: Clinic, me: Me, record_id: UUID, row: Mapping[str, Any], intake: Intake
) -> OpenAttachment:
    """Write the row, unless the record was signed while the bytes came in."""
    async with clinic.database.transaction() as session:
        locking = select(_record.status, _record.locked).where(_record.id == record_id)
        now = (await session.execute(locking.with_for_update())).one()
        if now.locked or now.status not in UNSIGNED:
            raise Conflict("a signed record is never changed", code="record-signed")
        permit = await clinic.gate.write(session, me, Action.UPDATE, resource_of(row))
        kept = sealed_row(clinic, me, permit, Attachment, intake, record_id=record_id)
        await add(session, kept)
    fetched = {**as_head(kept), "row_id": kept.id, "resource_id": record_id}
    return _shown(fetched, intake.words)


def sealed_row(
    clinic: Clinic, me: Me, permit: Permit, kind: type[Kept], intake: Intake, **of: Any
) -> Kept:
    """Return the row of a file that was taken in, sealed."""
    cells = clinic.vault.seal(
        permit, kind, intake.key, intake.id, **intake.words, secret=intake.secret
    )
    return kind(
        id=intake.id,
        patient_id=intake.patient_id,
        key_id=intake.key.key_id,
        size=intake.size,
        created_by=me.subject.id,
        **of,
        **cells,
    )


def as_head(kept: Attachment | CardImage) -> dict[str, Any]:
    """Return what a row of a file just kept says in the open, as it is read later."""
    return {name: getattr(kept, name) for name in HEAD}


def _shown(row: Mapping[str, Any], phi: Mapping[str, Any]) -> OpenAttachment:
    return OpenAttachment(
        id=row["row_id"],
        record_id=row["resource_id"],
        name=phi["name"],
        media_type=phi["media_type"],
        size=row["size"],
        sha256=phi["digest"].hex(),
        created_by=row["created_by"],
        created_at=row["created_at"],
    )
