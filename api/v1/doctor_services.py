"""How a doctor does a service: field by field their own word, or what the service says."""

from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from api.bodies import Strict
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.paging import Listing, unpaged
from records.scheduling.practice import change_terms, list_terms

router = APIRouter(prefix="/doctors/{doctor_id}/services", tags=["services"])


class OwnTerms(Strict):
    """What a doctor does otherwise; null is: as the service has it."""

    offered: bool = Field(True, description="whether the doctor offers the service at all")
    duration_minutes: int | None = Field(None, ge=5, le=720)
    buffer_before_minutes: int | None = Field(None, ge=0, le=240)
    buffer_after_minutes: int | None = Field(None, ge=0, le=240)
    notice_minutes: int | None = Field(None, ge=0, le=525_600)
    horizon_days: int | None = Field(None, ge=1, le=1_095)
    capacity: int | None = Field(None, ge=1, le=100)


class OwnTermsView(OwnTerms):
    """What a doctor does otherwise."""

    doctor_id: UUID
    service_id: UUID
    version: int


@router.get("", operation_id="list_doctor_services", response_model=Listing[OwnTermsView])
async def get_terms(doctor_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List what a doctor does otherwise than the services say."""
    return unpaged(await list_terms(clinic, me, doctor_id))


@router.patch("/{service_id}", operation_id="change_doctor_service", response_model=OwnTermsView)
async def patch_terms(
    doctor_id: UUID,
    service_id: UUID,
    patch: OwnTerms,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
) -> Response:
    """Say what a doctor does otherwise. `If-Match: *` the first time, when there is no version yet."""
    values = patch.model_dump(exclude_unset=True)
    terms = await change_terms(session, clinic, me, doctor_id, service_id, seen, values)
    return Json(terms, headers={"ETag": etag(terms["version"])})
