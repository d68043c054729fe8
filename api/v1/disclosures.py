"""The accounting of disclosures: to whom a patient's data went, for the patient and for compliance."""

from datetime import datetime
from enum import StrEnum
from io import StringIO
from typing import Annotated, Any
from uuid import UUID

from defusedcsv import csv
from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.deps import Clinic, Me, Transaction
from api.json import Json
from api.paging import Listing
from api.paper import accounting_pdf
from records.compliance import disclosures
from records.compliance.disclosures import Given
from records.compliance.models import DisclosurePurpose

router = APIRouter(prefix="/patients/{patient_id}/disclosures", tags=["audit"])

Word = Annotated[str, Field(min_length=1, max_length=200)]


class Form(StrEnum):
    """In which form the accounting is wanted."""

    JSON = "json"
    CSV = "csv"
    PDF = "pdf"


class Recipient(BaseModel):
    """Who received the data."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: Word
    address: Annotated[str, Field(max_length=500)] | None = None


class NewDisclosure(BaseModel):
    """A disclosure to write down."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    purpose: DisclosurePurpose
    disclosed_at: AwareDatetime
    recipient: Recipient
    description: str = Field(
        min_length=3, max_length=2000, description="what was disclosed, briefly"
    )
    suspended_until: AwareDatetime | None = Field(
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
        }
    }
}


@router.post("", operation_id="record_disclosure", status_code=201, response_model=DisclosureView)
async def post_disclosure(
    patient_id: UUID, new: NewDisclosure, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Write a disclosure down. Recipient and description are sealed."""
    recipient = new.recipient.model_dump(exclude_none=True)
    given = Given(new.purpose, new.disclosed_at, recipient, new.description, new.suspended_until)
    made = await disclosures.disclose(session, clinic, me, patient_id, given)
    return Json(made, 201)


@router.get("", operation_id="read_disclosures", response_model=Accounting, responses=_FORMS)
async def get_disclosures(
    patient_id: UUID,
    clinic: Clinic,
    me: Me,
    form: Form = Form.JSON,
    since: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to")] = None,
) -> Response:
    """Account for disclosures of the last six years (45 CFR 164.528), as JSON, CSV or PDF."""
    items = await disclosures.accounting(clinic, me, patient_id, since, until)
    summed = disclosures.summary(items)
    if form is Form.CSV:
        return Response(_csv(items), media_type="text/csv; charset=utf-8")
    if form is Form.PDF:
        return Response(accounting_pdf(patient_id, items, summed), media_type="application/pdf")
    body = {"patient_id": patient_id, "items": items, "summary": summed, "next_cursor": None}
    return Json(body)


def _csv(items: Any) -> str:
    """Return one row a disclosure; no cell is a formula to a spreadsheet."""
    text = StringIO()
    rows = csv.writer(text)
    rows.writerow(["date", "recipient", "address", "description", "purpose", "event_id"])
    for item in items:
        to = item["recipient"]
        day = item["disclosed_at"].isoformat()
        rows.writerow(
            [
                day,
                to["name"],
                to.get("address") or "",
                item["description"],
                item["purpose"],
                item["event_id"],
            ]
        )
    return text.getvalue()
