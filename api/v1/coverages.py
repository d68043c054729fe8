"""Insurance of patients: who pays, in which order, on which days."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from api.bodies import Trimmed, shown
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, unpaged
from api.patches import Change, patch_of, revised
from api.texts import Line, Word
from api.times import Day
from records.people.coverages import amend_coverage, create_coverage, read_coverages
from records.people.details import CoverageDetails
from records.people.models import CoverageStatus, Eligibility

router = APIRouter(tags=["patients"])


class Relationship(StrEnum):
    """What the patient is to the subscriber (FHIR's codes)."""

    SELF = "self"
    SPOUSE = "spouse"
    CHILD = "child"
    PARENT = "parent"
    COMMON = "common"
    INJURED = "injured"
    OTHER = "other"


class NewCoverage(Trimmed):
    """An insurance of a patient."""

    payor: Word = Field(description="who pays", examples=["Harbor Mutual"])
    plan: Word | None = None
    member_id: Annotated[Line, Field(min_length=1, max_length=100)] | None = None
    group_number: Annotated[Line, Field(min_length=1, max_length=100)] | None = None
    relationship: Relationship = Relationship.SELF
    position: int = Field(1, ge=1, le=20, description="1 pays first; unique on any one day")
    valid_from: Day | None = Field(None, description="the first day; always, if left out")
    valid_until: Day | None = Field(None, description="the last day; open, if left out")
    status: CoverageStatus = CoverageStatus.ACTIVE
    eligibility: Eligibility | None = Field(
        None, description="what the payor said when asked; null: not asked"
    )

    @model_validator(mode="after")
    def _ordered(self) -> "NewCoverage":
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise PydanticCustomError("period", "an insurance ends after it begins")
        return self

    def details(self) -> CoverageDetails:
        """Return the insurance as the domain takes it."""
        return CoverageDetails(**self.model_dump())


class CoverageView(BaseModel):
    """An insurance of a patient; `position` 1 is the primary one."""

    id: UUID
    status: CoverageStatus
    position: int
    payor: str
    plan: str | None = None
    member_id: str | None = None
    group_number: str | None = None
    relationship: str
    valid_from: Day | None = None
    valid_until: Day | None = None
    eligibility: Eligibility | None = None
    eligibility_checked_at: AwareDatetime | None = None
    version: int
    created_at: AwareDatetime


@router.get(
    "/patients/{patient_id}/coverages",
    operation_id="list_coverages",
    response_model=Listing[CoverageView],
)
async def get_coverages(patient_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List a patient's insurances, primary first."""
    found = await read_coverages(clinic, me, patient_id)
    return unpaged([shown(CoverageView, c) for c in found])


@router.get(
    "/patients/{patient_id}/coverages/{coverage_id}",
    operation_id="read_coverage",
    response_model=CoverageView,
)
async def get_coverage(patient_id: UUID, coverage_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one insurance of a patient."""
    found = await read_coverages(clinic, me, patient_id, coverage_id)
    return Json(shown(CoverageView, found[0]), headers={"ETag": etag(found[0]["version"])})


@router.post(
    "/patients/{patient_id}/coverages",
    operation_id="add_coverage",
    status_code=201,
    response_model=CoverageView,
)
@once(get_coverage)
async def post_coverage(
    patient_id: UUID, new: NewCoverage, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Add an insurance. When another one has its position on one of its days, the answer is 409 `coverage-order`."""
    made = await create_coverage(session, clinic, me, patient_id, new.details())
    place = f"/v1/patients/{made['patient_id']}/coverages/{made['id']}"
    return Json(shown(CoverageView, made), 201, {"Location": place, "ETag": etag(1)})


@router.patch(
    "/patients/{patient_id}/coverages/{coverage_id}",
    operation_id="amend_coverage",
    response_model=CoverageView,
    openapi_extra=patch_of(NewCoverage, "CoveragePatch"),
)
async def patch_coverage(
    patient_id: UUID,
    coverage_id: UUID,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
    change: Change,
) -> Response:
    """Change an insurance by a merge patch. A visit that is booked keeps the one it was booked with."""

    def revise(stored: Mapping[str, Any]) -> CoverageDetails:
        return revised(NewCoverage, stored, change).details()

    now = await amend_coverage(session, clinic, me, patient_id, coverage_id, seen, revise)
    return Json(shown(CoverageView, now), headers={"ETag": etag(now["version"])})
