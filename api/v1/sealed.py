"""The sealed audit log in the forms of C2SP: any tlog-tiles client can check it. For compliance."""

import base64
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from api.deps import Clinic, Me
from api.json import Json
from core.transparency.tiles import MOST_LEVELS
from records.compliance import sealed

router = APIRouter(prefix="/audit", tags=["audit"])

BYTES = "application/octet-stream"
_BINARY: dict[int | str, dict[str, Any]] = {
    200: {"content": {BYTES: {"schema": {"type": "string", "format": "binary"}}}}
}

Size = Annotated[int, Query(ge=0, le=2**62, description="number of events")]
TilePath = Annotated[
    str,
    Path(max_length=60, description="number in steps of three digits, as x001/234, or 000.p/17"),
]


class ConsistencyView(BaseModel):
    """The RFC 6962 proof that the log of `old` events is the beginning of the log of `new`. Hashes are base64."""

    old: int = Field(ge=1, examples=[3])
    new: int = Field(ge=1, examples=[7])
    old_root: str
    new_root: str
    proof: list[str]


@router.get(
    "/checkpoint",
    operation_id="read_audit_checkpoint",
    response_class=PlainTextResponse,
)
async def get_checkpoint(clinic: Clinic, me: Me) -> Response:
    """Read the newest checkpoint: the log's size and root, signed (c2sp.org/tlog-checkpoint)."""
    return PlainTextResponse(await sealed.checkpoint(clinic, me))


@router.get(
    "/events/{event_id}/proof",
    operation_id="read_audit_proof",
    response_class=PlainTextResponse,
)
async def get_proof(event_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read the proof that an event is in the log, with the checkpoint it leads to (c2sp.org/tlog-proof)."""
    return PlainTextResponse(await sealed.proof(clinic, me, event_id))


@router.get("/consistency", operation_id="read_audit_consistency", response_model=ConsistencyView)
async def get_consistency(clinic: Clinic, me: Me, old: Size, new: Size | None = None) -> Response:
    """Read the proof that the log only grew between two sizes; `new` is the newest checkpoint's unless given."""
    found = await sealed.consistency(clinic, me, old, new)
    roots = {name: _base64(found[name]) for name in ("old_root", "new_root")}
    return Json({**found, **roots, "proof": [_base64(h) for h in found["proof"]]})


@router.get(
    "/tile/entries/{path:path}",
    operation_id="read_audit_entries",
    response_class=Response,
    responses=_BINARY,
)
async def get_entries(path: TilePath, clinic: Clinic, me: Me) -> Response:
    """Read up to 256 events as the bytes that are sealed, each after its length in two bytes (c2sp.org/tlog-tiles)."""
    return Response(await sealed.entries(clinic, me, path), media_type=BYTES)


@router.get(
    "/tile/{level}/{path:path}",
    operation_id="read_audit_tile",
    response_class=Response,
    responses=_BINARY,
)
async def get_tile(
    level: Annotated[int, Path(ge=0, le=MOST_LEVELS)], path: TilePath, clinic: Clinic, me: Me
) -> Response:
    """Read up to 256 hashes of one level of the tree (c2sp.org/tlog-tiles)."""
    return Response(await sealed.tile(clinic, me, level, path), media_type=BYTES)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
