"""The accounting of disclosures: to whom a patient's data went, for the patient and for compliance."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import partial
from io import BytesIO, StringIO
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

from defusedcsv import csv
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from api.bodies import Trimmed
from api.deps import Clinic, Me, Transaction
from api.json import Json
from api.once import once
from api.paging import Listing
from api.paper import accounting_pdf
from api.texts import Word
from api.times import Instant
from core.errors import NotFound
from records.audit.log_key import VERIFIER_KEY
from records.audit.verifier import bundle
from records.compliance import disclosures
from records.compliance.disclosures import Given
from records.compliance.models import DisclosurePurpose
from records.compliance.proving import Evidence

router = APIRouter(prefix="/patients/{patient_id}/disclosures", tags=["audit"])

_EVIDENCE: Final = ("leaf_index", "entry", "proof")
_COLUMNS: Final = ("date", "recipient", "address", "description", "purpose", "event_id", *_EVIDENCE)


class DisclosureForm(StrEnum):
    """In which form the accounting is wanted."""

    JSON = "json"
    CSV = "csv"
    PDF = "pdf"
    BUNDLE = "bundle"


class Recipient(Trimmed):
    """Who received the data."""

    name: Word
    address: Annotated[str, Field(max_length=500)] | None = None


class NewDisclosure(Trimmed):
    """A disclosure to write down."""

    purpose: DisclosurePurpose
    disclosed_at: Instant
    recipient: Recipient
    description: str = Field(
        min_length=3, max_length=2000, description="what was disclosed, briefly"
    )
    suspended_until: Instant | None = Field(
        None, description="until when an authority asked that the patient not be told"
    )


class DisclosureView(BaseModel):
    """One disclosure. `event_id` is the act in the sealed log that wrote it down."""

    id: UUID
    purpose: DisclosurePurpose
    disclosed_at: datetime
    recipient: Recipient
    description: str
    suspended_until: datetime | None
    event_id: UUID
    recorded_at: datetime
    leaf_index: int | None = Field(description="the event's place in the log, once it is sealed")
    entry: str | None = Field(description="the event, as the exact bytes that are sealed")
    proof: str | None = Field(
        description="that the entry is in the log (c2sp.org/tlog-proof), to be checked without us"
    )


class Repeated(BaseModel):
    """Disclosures to one recipient for one purpose."""

    recipient: str
    purpose: DisclosurePurpose
    first: datetime
    last: datetime
    times: int


class Accounting(Listing[DisclosureView]):
    """Every disclosure of the time asked for, newest first, and repeated ones summed up."""

    patient_id: UUID
    summary: list[Repeated]


_FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/pdf": {"schema": {"type": "string", "format": "binary"}},
            "application/x-tar": {"schema": {"type": "string", "format": "binary"}},
        }
    }
}


@router.get("", operation_id="read_disclosures", response_model=Accounting, responses=_FORMS)
async def get_disclosures(
    patient_id: UUID,
    request: Request,
    clinic: Clinic,
    me: Me,
    form: DisclosureForm = DisclosureForm.JSON,
    since: Annotated[Instant | None, Query(alias="from")] = None,
    until: Annotated[Instant | None, Query(alias="to")] = None,
    excluded: Annotated[
        bool, Query(description="also for care, payment, operations and the like")
    ] = False,
) -> Response:
    """Account for disclosures of the last six years (45 CFR 164.528), each with its proof.

    As JSON, CSV or PDF, or as the bundle of proofs that `confide audit verify` checks offline; the PDF has it attached.
    """
    items, note = await disclosures.accounting(
        clinic, me, patient_id, since, until, excluded=excluded
    )
    if form is DisclosureForm.CSV:
        return Response(_csv(items), media_type="text/csv; charset=utf-8")
    summed = disclosures.summary(items)
    if form is DisclosureForm.JSON:
        views = [_view(item) for item in items]
        body = {"patient_id": patient_id, "items": views, "summary": summed, "next_cursor": None}
        return Json(body)
    proofs = _bundle(items, note, request.app.state.settings.home) if note else None
    if form is DisclosureForm.PDF:
        paper = accounting_pdf(patient_id, items, summed, proofs)
        return Response(paper, media_type="application/pdf")
    if proofs is None:
        raise NotFound("nothing is sealed yet")
    return Response(proofs, media_type="application/x-tar")


@router.post("", operation_id="record_disclosure", status_code=201, response_model=DisclosureView)
@once(partial(get_disclosures, excluded=True), at=None)
async def post_disclosure(
    patient_id: UUID, new: NewDisclosure, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Write a disclosure down. Recipient and description are sealed."""
    recipient = new.recipient.model_dump(exclude_none=True)
    given = Given(new.purpose, new.disclosed_at, recipient, new.description, new.suspended_until)
    made = await disclosures.disclose(session, clinic, me, patient_id, given)
    return Json(_view(made), 201)


def _view(item: Mapping[str, Any]) -> dict[str, Any]:
    found: Evidence | None = item.get("evidence")
    shown = {n: item[n] for n in DisclosureView.model_fields if n in item}
    return shown | {name: getattr(found, name, None) for name in _EVIDENCE}


def _bundle(items: Sequence[Mapping[str, Any]], note: str, home: Path) -> bytes:
    """Return the proofs of all lines as a bundle."""
    tar, lines = BytesIO(), BytesIO()
    proved = [item["evidence"] for item in items if item["evidence"]]
    lines.write("".join(e.line for e in proved).encode())
    key, about = (home / VERIFIER_KEY).read_text().strip(), {"size": len(proved)}
    bundle.write(tar, key=key, notes=[note], entries=lines, whole=False, about=about)
    return tar.getvalue()


def _csv(items: Sequence[Mapping[str, Any]]) -> str:
    """Return one row a disclosure; no cell is a formula to a spreadsheet."""
    text = StringIO()
    rows = csv.DictWriter(text, _COLUMNS)
    rows.writeheader()
    for item in items:
        view, to = _view(item), item["recipient"]
        named = {"date": item["disclosed_at"].isoformat(), "recipient": to["name"]}
        row = {**view, **named, "address": to.get("address") or ""}
        rows.writerow({name: "" if row[name] is None else row[name] for name in _COLUMNS})
    return text.getvalue()
