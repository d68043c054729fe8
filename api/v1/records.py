"""Medical records."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.bodies import Strict
from api.deps import Clinic, Me, Transaction
from api.etags import etag
from api.json import Json
from api.once import once
from api.paging import Listing, Page
from api.texts import Line
from api.times import Instant
from policies.vocabulary import Category, Sensitivity
from records.clinical.content import MODELS, checked
from records.clinical.models import RecordAct, RecordKind, RecordStatus
from records.clinical.reading import OpenRecord, list_records, read_record
from records.clinical.searching import Wanted, search_records
from records.clinical.writing import Draft, write_record

router = APIRouter(tags=["records"])

Content = Annotated[
    dict[str, Any] | str,
    Field(
        description="what was written: an object of the kind, or text; at most 16 KiB",
    ),
]
OfKind = Annotated[
    dict[str, Any] | str,
    Field(
        description="what it says: an object of its kind; text too for a note or a referral",
        json_schema_extra={
            "anyOf": [
                {"type": "string"},
                *({"$ref": f"#/components/schemas/{m.__name__}"} for m in MODELS.values()),
            ]
        },
    ),
]
Categories = Annotated[
    list[Category],
    Field(max_length=5, description="what it is about that a reader must be cleared for, each"),
]
Title = Annotated[Line, Field(min_length=1, max_length=200)]


class SignatureView(BaseModel):
    """The signature of a version: whose, when, and over what."""

    signer_id: UUID
    signed_at: datetime
    digest: str = Field(description="SHA-256 (hex) of the version's canonical JSON, RFC 8785")


class RecordView(BaseModel):
    """A medical record, opened for its reader."""

    id: UUID
    patient_id: UUID
    appointment_id: UUID
    author_id: UUID = Field(description="the account that wrote it")
    kind: RecordKind
    status: RecordStatus
    sensitivity: Sensitivity
    categories: list[Category]
    version: int = Field(ge=1)
    act: RecordAct = Field(description="what made this version")
    writer_id: UUID = Field(description="the account that wrote this version")
    locked: bool = Field(description="closed to every later act")
    addendum_to: UUID | None = Field(None, description="the record it adds to")
    title: str
    content: Content
    reason: str | None = Field(None, description="why it was amended or retracted")
    signature: SignatureView | None = None
    written_at: datetime = Field(description="when this version was written")
    created_at: datetime


class NewRecord(Strict):
    """A record to write about a visit."""

    kind: RecordKind
    title: Title
    sensitivity: Sensitivity = Sensitivity.NORMAL
    categories: Categories = Field(default_factory=list)
    content: OfKind


class RecordSearch(Strict):
    """What to look for. It stands in the body, which keeps a diagnosis out of URLs and logs."""

    patient_id: UUID | None = None
    kind: RecordKind | None = None
    code: str | None = Field(None, min_length=1, max_length=40, examples=["G43.109"])
    since: Instant | None = Field(None, alias="from", description="first written then or later")
    until: Instant | None = Field(None, alias="to", description="first written before")


@router.get("/records/{record_id}", operation_id="read_record", response_model=RecordView)
async def get_record(record_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one record: decided, on the trail, and only then opened."""
    record = await read_record(clinic, me, record_id)
    return answer(record)


@router.get(
    "/patients/{patient_id}/records",
    operation_id="list_records",
    response_model=Listing[RecordView],
)
async def get_records(patient_id: UUID, clinic: Clinic, me: Me, page: Page) -> Response:
    """List a patient's records that the caller may read, newest first."""
    items, last = await list_records(clinic, me, patient_id, limit=page.limit, after=page.after)
    return page.listed(items, last)


@router.post(
    "/appointments/{appointment_id}/records",
    operation_id="write_record",
    status_code=201,
    response_model=RecordView,
)
@once(get_record, at="/v1/records")
async def post_record(
    appointment_id: UUID,
    new: NewRecord,
    session: Transaction,
    clinic: Clinic,
    me: Me,
) -> Response:
    """Write a record about a visit. It is a draft, its author's alone, until it is signed."""
    content = checked(new.kind, new.content)
    draft = Draft(new.kind, new.title, content, new.sensitivity, new.categories)
    record = await write_record(session, clinic, me, appointment_id, draft)
    return answer(record, 201)


@router.post("/records/search", operation_id="search_records", response_model=Listing[RecordView])
async def search(wanted: RecordSearch, clinic: Clinic, me: Me, page: Page) -> Response:
    """Find records that the caller may read, newest first.

    A code has no index; it is looked for in up to 500 records a page, so a page may be short and yet have a next one.
    """
    found, last = await search_records(
        clinic, me, Wanted(**wanted.model_dump()), limit=page.limit, after=page.after
    )
    return page.listed(found, last)


def answer(record: OpenRecord, status: int = 200) -> Response:
    """Answer with a record and its ETag; with its Location when it is new."""
    made = {"Location": f"/v1/records/{record.id}"} if status == 201 else {}  # noqa: PLR2004
    return Json(record, status, {"ETag": etag(record.version), **made})
