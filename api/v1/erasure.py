"""Erasing a patient for good, and the legal hold that forbids it."""

from enum import StrEnum
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, Field

from api.bodies import Strict, Trimmed, shown
from api.deps import STEP_UP, Clinic, Me, Transaction
from api.json import Json
from records.custody import erasure
from records.custody.models import ErasureReason

router = APIRouter(prefix="/patients/{patient_id}", tags=["keys"])


class ErasureState(StrEnum):
    """Asked for by one person, done by another."""

    REQUESTED = "requested"
    ERASED = "erased"


class NewErasure(Strict):
    """Why a patient is to be erased."""

    reason: ErasureReason


class ErasureView(BaseModel):
    """A request, or, once it is done, the certificate."""

    id: UUID
    patient_id: UUID
    state: ErasureState
    reason: ErasureReason
    requested_by: UUID
    requested_at: AwareDatetime
    approved_by: UUID | None
    erased_at: AwareDatetime | None
    keys_destroyed: int
    shred_effective_at: AwareDatetime | None = Field(
        description="when the last backup that holds a wrapped key has expired"
    )


class NewLegalHold(Trimmed):
    """A legal hold to place."""

    reference: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ./-]{0,99}$",
        description="the case it belongs to, as a file number; no names",
        examples=["2026/0417"],
    )


class LegalHoldView(NewLegalHold):
    """A legal hold that stands."""

    patient_id: UUID
    placed_at: AwareDatetime


@router.post(
    "/erasure",
    operation_id="erase_patient",
    dependencies=[STEP_UP],
    status_code=202,
    response_model=ErasureView,
)
async def post_erasure(
    patient_id: UUID, new: NewErasure, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Ask for an erasure (202), or do the one another person asked for (200). It cannot be undone."""
    standing = await erasure.erase(session, clinic, me, patient_id, new.reason)
    return Json(shown(ErasureView, standing), 200 if standing["erased_at"] else 202)


@router.get("/erasure", operation_id="read_erasure", response_model=ErasureView)
async def get_erasure(patient_id: UUID, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Read how an erasure stands."""
    return Json(shown(ErasureView, await erasure.read_erasure(session, clinic, me, patient_id)))


@router.delete("/erasure", operation_id="withdraw_erasure", status_code=204)
async def delete_erasure(patient_id: UUID, session: Transaction, clinic: Clinic, me: Me) -> None:
    """Take back a request that nobody has agreed to yet."""
    await erasure.withdraw(session, clinic, me, patient_id)


@router.post(
    "/legal-hold", operation_id="place_legal_hold", status_code=201, response_model=LegalHoldView
)
async def post_hold(
    patient_id: UUID, new: NewLegalHold, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Forbid the erasure of a patient until the hold is lifted."""
    placed = await erasure.place_hold(session, clinic, me, patient_id, new.reference)
    return Json(placed, 201, {"Location": f"/v1/patients/{patient_id}/legal-hold"})


@router.delete("/legal-hold", operation_id="lift_legal_hold", status_code=204)
async def delete_hold(patient_id: UUID, session: Transaction, clinic: Clinic, me: Me) -> None:
    """Lift the hold."""
    await erasure.lift_hold(session, clinic, me, patient_id)
