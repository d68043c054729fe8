"""Exports of the trail: asked for, followed, fetched within a day. For compliance."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from io import StringIO
from tempfile import TemporaryFile
from typing import IO, Any, Final
from uuid import UUID

import orjson
from defusedcsv import csv
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from api import errors
from api.deps import STEP_UP, Clinic, Me, Transaction
from api.json import Json
from api.once import once
from api.v1.audit import EventFilters
from records.audit.log_key import VERIFIER_KEY
from records.audit.queries import Filters
from records.audit.verifier import bundle
from records.compliance import exports
from records.compliance.models import ExportState

router = APIRouter(prefix="/audit/exports", tags=["audit"])


class ExportForm(StrEnum):
    """In which form an export is fetched."""

    NDJSON = "ndjson"
    CSV = "csv"
    BUNDLE = "bundle"


MEDIA: Final = {
    ExportForm.NDJSON: "application/x-ndjson",
    ExportForm.CSV: "text/csv; charset=utf-8",
    ExportForm.BUNDLE: "application/x-tar",
}
COLUMNS: Final = (
    "leaf_index", "id", "occurred_at", "actor", "roles", "action", "outcome", "reason", "purpose", "patient",
    "resource_type", "resource_ids", "rule", "policy_version", "break_glass", "endpoint", "request_id", "network", "client", "proof",
)  # fmt: skip
_SUFFIX: Final = {ExportForm.NDJSON: "ndjson", ExportForm.CSV: "csv", ExportForm.BUNDLE: "tar"}
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA.values()
        }
    },
    **errors.told({409}),
}


class ExportView(BaseModel):
    """How far an export is. It is gone, file and all, at `expires_at`."""

    id: UUID
    state: ExportState
    done: int = Field(description="events gathered so far")
    total: int
    checkpoint: str = Field(description="the signed checkpoint that every proof leads to")
    created_at: datetime
    expires_at: datetime
    files: dict[str, str] = Field(description="where to fetch it, by form; empty until it is done")


@router.get(
    "/{export_id}",
    operation_id="read_audit_export",
    response_model=ExportView,
    responses={202: {"description": "Being gathered", "model": ExportView}},
)
async def get_export(export_id: UUID, clinic: Clinic, me: Me) -> Response:
    """See how far an export is: 202 until it is done."""
    found = await exports.state_of(clinic, me, export_id)
    if found["state"] in {ExportState.DONE, ExportState.FAILED}:
        # Dates in headers are written as RFC 9110 has it.
        until = format_datetime(found["expires_at"].astimezone(UTC), usegmt=True)
        return Json(_view(found), 200, {"Expires": until})
    return Json(
        _view(found), 202, {"Retry-After": "2", "X-Progress": f"{found['done']}/{found['total']}"}
    )


@router.post(
    "",
    operation_id="export_audit_events",
    dependencies=[STEP_UP],
    status_code=202,
    response_model=ExportView,
)
@once(get_export, status=202)
async def post_export(
    wanted: EventFilters, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Ask for an export. It is gathered in the background, each event with the proof that it is in the log."""
    made = await exports.ask(session, clinic, me, Filters(**wanted.model_dump()))
    at = f"/v1/audit/exports/{made.id}"
    where = {"Location": at, "Content-Location": at, "Retry-After": "2"}
    return Json(_view(made.model_dump()), 202, where)


@router.get(
    "/{export_id}/file",
    operation_id="fetch_audit_export",
    response_class=StreamingResponse,
    responses=_FILE,
)
async def get_file(
    export_id: UUID, request: Request, clinic: Clinic, me: Me, form: ExportForm = ExportForm.NDJSON
) -> Response:
    """Fetch an export: JSON lines or CSV, or a bundle that `confide audit verify` checks without a server."""
    found, parts = await exports.lines(clinic, me, export_id)
    if form is ExportForm.BUNDLE:
        key = (request.app.state.settings.home / VERIFIER_KEY).read_text().strip()
        content: AsyncIterator[bytes | str] = await _bundle(found, parts, key)
    else:
        content = _ndjson(parts) if form is ExportForm.NDJSON else _csv(parts)
    name = f'attachment; filename="audit-{export_id}.{_SUFFIX[form]}"'
    return StreamingResponse(content, headers={"Content-Disposition": name}, media_type=MEDIA[form])


async def _ndjson(parts: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[bytes | str]:
    async for part in parts:
        yield b"".join(orjson.dumps(_event(line)) + b"\n" for line in part)


async def _csv(parts: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[bytes | str]:
    """Yield rows whose cells no spreadsheet takes for a formula."""
    yield _rows([COLUMNS])
    async for part in parts:
        yield _rows([[_cell(_event(line)[name]) for name in COLUMNS] for line in part])


async def _bundle(
    found: Any, parts: AsyncIterator[list[dict[str, Any]]], key: str
) -> AsyncIterator[bytes | str]:
    """Write the bundle to a file without a name, for a tar needs sizes beforehand; return its bytes."""
    tar = TemporaryFile()  # noqa: SIM115 - closed when its last byte has left
    with TemporaryFile() as entries:
        async for part in parts:
            entries.write(b"".join(orjson.dumps(line) + b"\n" for line in part))
        about = {"export": str(found["id"]), "size": found["total"]}
        bundle.write(
            tar, key=key, notes=[found["checkpoint"]], entries=entries, whole=False, about=about
        )
    tar.seek(0)
    return _chunks(tar)


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes | str]:
    with file:
        while chunk := file.read(1 << 16):
            yield chunk


def _event(line: dict[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = orjson.loads(line["body"])
    return {**event, "leaf_index": line["index"], "proof": line.get("proof", [])}


def _rows(rows: Any) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "" if value is None else str(value)


def _view(export: Any) -> dict[str, Any]:
    done = export["state"] == ExportState.DONE
    at = f"/v1/audit/exports/{export['id']}/file?form="
    files = {form.value: f"{at}{form}" for form in ExportForm} if done else {}
    return {**{n: export[n] for n in ExportView.model_fields if n != "files"}, "files": files}
