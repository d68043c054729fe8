"""Attachments of medical records: streamed in and out, never in memory or on the disk in clear."""

from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from api.deps import Clinic, Me
from api.json import Json
from api.multipart import incoming
from api.paging import Listing, unpaged
from core.blobs import Blobs
from core.settings import Settings
from records.clinical.attachments import attach, list_attachments, open_attachment

router = APIRouter(prefix="/records/{record_id}/attachments", tags=["records"])

FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}
BYTES: Final[dict[str, Any]] = {
    "description": "The bytes, under the media type they were found to have",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


class FileView(BaseModel):
    """A file that is kept sealed."""

    id: UUID
    name: str = Field(description="as the sender called it")
    media_type: str = Field(description="told from the bytes, not from what the sender said")
    size: int = Field(ge=0)
    sha256: str = Field(description="checksum of the bytes, hex")
    created_by: UUID
    created_at: datetime


class AttachmentView(FileView):
    """A file attached to a record."""

    record_id: UUID


@router.post(
    "",
    operation_id="attach",
    status_code=201,
    response_model=AttachmentView,
    openapi_extra=FORM,
)
async def post_attachment(record_id: UUID, request: Request, clinic: Clinic, me: Me) -> Response:
    """Attach a file to a record that is not signed yet. It is sealed while it arrives."""
    chosen: Settings = request.app.state.settings
    name, pieces = await incoming(request, chosen.attachment_limit)
    blobs = Blobs(chosen.attachments)
    made = await attach(clinic, me, blobs, record_id, name, pieces)
    return Json(made, 201, {"Location": f"/v1/records/{record_id}/attachments/{made.id}"})


@router.get("", operation_id="list_attachments", response_model=Listing[AttachmentView])
async def get_attachments(record_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List what is attached to a record, oldest first."""
    return unpaged(await list_attachments(clinic, me, record_id))


@router.get(
    "/{attachment_id}",
    operation_id="download_attachment",
    response_class=StreamingResponse,
    responses={200: BYTES},
)
async def get_attachment(
    record_id: UUID, attachment_id: UUID, request: Request, clinic: Clinic, me: Me
) -> Response:
    """Download an attachment. Its event is on disk before the first byte leaves."""
    blobs = Blobs(request.app.state.settings.attachments)
    found, pieces = await open_attachment(clinic, me, blobs, record_id, attachment_id)
    return streamed(found, pieces)


def streamed(found: Any, pieces: AsyncIterator[bytes]) -> Response:
    """Return a file as it leaves: nothing is kept in memory."""
    digest = b64encode(bytes.fromhex(found.sha256)).decode()
    headers = {
        "Content-Length": str(found.size),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "Repr-Digest": f"sha-256=:{digest}:",
    }
    return StreamingResponse(pieces, 200, headers, found.media_type)
