"""The caller, as the policy sees them."""

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.deps import Me

router = APIRouter(tags=["me"])


class MeView(BaseModel):
    """The caller as the policy sees them."""

    account_id: UUID
    roles: list[str] = Field(examples=[["doctor"]])
    doctor_id: UUID | None = None
    patient_id: UUID | None = None
    purpose: str = Field(description="the purpose of use in force (HL7 PurposeOfUse)")
    session_id: UUID | None = None


@router.get("/me", operation_id="read_me")
async def read_me(me: Me) -> MeView:
    """Return the account behind the token."""
    subject = me.subject
    return MeView(
        account_id=subject.id,
        roles=sorted(subject.roles),
        doctor_id=subject.doctor_id,
        patient_id=subject.patient_id,
        purpose=me.environment.purpose,
        session_id=me.session,
    )
