"""Files at the clinic: sealed while they arrive, opened while they leave, in constant memory either way.

The bytes are a blob (C2, in chunks) whose key is sealed in the file's row; name, type and checksum are sealed columns.
"""

from asyncio import to_thread
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from core.blobs import Blobs
from core.crypto.cobblestone import decrypt_stream
from core.crypto.envelope import DataKey, DecryptError
from policies.permit import Permit
from records.access.me import Me
from records.clinic import Clinic, Unreadable
from records.clinical.intake import Intake, context_of
from records.clinical.models import Attachment, CardImage

HEAD: Final = ("size", "created_by", "created_at")
"""What a file's row says in the open."""

T = TypeVar("T")
Kept = TypeVar("Kept", Attachment, CardImage)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file as its reader sees it. `sha256` (hex) and `size` are of the bytes that were sent."""

    id: UUID
    name: str
    media_type: str
    size: int
    sha256: str
    created_by: UUID
    created_at: datetime


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


def sealed_row(
    clinic: Clinic, permit: Permit, kind: type[Kept], key: DataKey, intake: Intake, **of: Any
) -> Kept:
    """Return the row of a file that was taken in, sealed."""
    cells = clinic.vault.seal(permit, kind, key, intake.id, **intake.words, secret=intake.secret)
    return kind(
        id=intake.id,
        patient_id=intake.patient_id,
        key_id=key.key_id,
        size=intake.size,
        created_by=permit.subject_id,
        **of,
        **cells,
    )


def stated(kept: Attachment | CardImage, intake: Intake) -> dict[str, Any]:
    """Return what an OpenFile says of a file just kept."""
    row = {"row_id": kept.id, **{name: getattr(kept, name) for name in HEAD}}
    return opened(row, intake.words)


def opened(row: Mapping[str, Any], phi: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an OpenFile says of a fetched row and its opened words."""
    return {
        "id": row["row_id"],
        "name": phi["name"],
        "media_type": phi["media_type"],
        "sha256": phi["digest"].hex(),
        **{name: row[name] for name in HEAD},
    }


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
