"""Around a patient: the care team, consents, proxies. Each is a fact that rules ask for, in force at once."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from api.bodies import Strict, shown
from api.deps import Clinic, Me, Transaction
from api.json import Json
from api.once import once
from api.paging import Listing, unpaged
from api.times import Instant
from policies.vocabulary import Category, Purpose, Role
from records.access.models import CareTeam, Consent, Decision, Proxy
from records.care.standing import end, list_standing, put, revoke

router = APIRouter(prefix="/patients/{patient_id}", tags=["care"])

Until = Annotated[Instant | None, Field(description="null: until it is ended")]


class NewMember(Strict):
    """Somebody who treats the patient from now on: a doctor, or another account (a nurse)."""

    doctor_id: UUID | None = None
    account_id: UUID | None = None
    valid_until: Until = None

    @model_validator(mode="after")
    def _one(self) -> "NewMember":
        if (self.doctor_id is None) == (self.account_id is None):
            raise PydanticCustomError("actor", "name a doctor or an account")
        return self


class MemberView(BaseModel):
    """A member of the care team."""

    id: UUID
    patient_id: UUID
    doctor_id: UUID | None
    account_id: UUID | None
    valid_from: datetime
    valid_until: datetime | None


class NewConsent(Strict):
    """A directive. A denial names one actor, a role, or nobody: then it binds all. A permit names one actor."""

    decision: Decision
    doctor_id: UUID | None = None
    account_id: UUID | None = None
    role: Role | None = None
    category: Category | None = Field(
        None, description="only what is labelled so; null: everything"
    )
    purpose: Purpose | None = Field(None, description="only for this purpose; null: for any")
    valid_until: Until = None

    @model_validator(mode="after")
    def _actor(self) -> "NewConsent":
        named = [a for a in (self.doctor_id, self.account_id, self.role) if a]
        if len(named) > 1:
            raise PydanticCustomError("actor", "name one actor at most")
        if self.decision is Decision.PERMIT and (self.role or not named):
            raise PydanticCustomError("actor", "a permit names a doctor or an account")
        return self


class ConsentView(BaseModel):
    """A directive of the patient."""

    id: UUID
    patient_id: UUID
    decision: Decision
    doctor_id: UUID | None
    account_id: UUID | None
    role: Role | None
    category: Category | None
    purpose: Purpose | None
    valid_from: datetime
    valid_until: datetime | None
    created_by: UUID
    created_at: datetime
    revoked_by: UUID | None
    revoked_at: datetime | None


class NewProxy(Strict):
    """An account that shall stand in for the patient."""

    account_id: UUID
    relationship: str = Field(pattern=r"^[a-z-]{2,40}$", examples=["parent", "guardian"])
    valid_until: Until = None


class ProxyView(BaseModel):
    """An account that stands in for the patient."""

    id: UUID
    patient_id: UUID
    account_id: UUID
    relationship: str
    valid_from: datetime
    valid_until: datetime | None
    created_by: UUID


@router.get("/care-team", operation_id="list_care_team", response_model=Listing[MemberView])
async def get_team(patient_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List who treats the patient."""
    found = await list_standing(clinic, me, CareTeam, patient_id)
    return unpaged([shown(MemberView, row) for row in found])


@router.post(
    "/care-team", operation_id="join_care_team", status_code=201, response_model=MemberView
)
@once(get_team, at=None)
async def post_member(
    patient_id: UUID, new: NewMember, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Bring somebody into the care team: they see the patient from their next request on."""
    row = CareTeam(patient_id=patient_id, **new.model_dump())
    await put(session, clinic, me, row)
    return Json(shown(MemberView, row.model_dump()), 201)


@router.delete("/care-team/{member_id}", operation_id="leave_care_team", status_code=204)
async def delete_member(
    patient_id: UUID, member_id: UUID, session: Transaction, clinic: Clinic, me: Me
) -> None:
    """Take somebody out of the care team, however often they were brought in."""
    await end(session, clinic, me, CareTeam, patient_id, member_id)


@router.get("/consents", operation_id="list_consents", response_model=Listing[ConsentView])
async def get_consents(patient_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List the patient's directives, newest first, those revoked as well."""
    found = await list_standing(clinic, me, Consent, patient_id)
    return unpaged([shown(ConsentView, row) for row in found])


@router.post(
    "/consents", operation_id="declare_consent", status_code=201, response_model=ConsentView
)
@once(get_consents, at=None)
async def post_consent(
    patient_id: UUID, new: NewConsent, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Write down what the patient allows or forbids. It acts on the next request."""
    row = Consent(patient_id=patient_id, created_by=me.subject.id, **new.model_dump())
    await put(session, clinic, me, row)
    return Json(shown(ConsentView, row.model_dump()), 201)


@router.post(
    "/consents/{consent_id}/revoke", operation_id="revoke_consent", response_model=ConsentView
)
async def post_revocation(
    patient_id: UUID, consent_id: UUID, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Take a directive back. It stays on record."""
    revoked = await revoke(session, clinic, me, patient_id, consent_id)
    return Json(shown(ConsentView, revoked))


@router.get("/proxies", operation_id="list_proxies", response_model=Listing[ProxyView])
async def get_proxies(patient_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List who stands in for the patient."""
    found = await list_standing(clinic, me, Proxy, patient_id)
    return unpaged([shown(ProxyView, row) for row in found])


@router.post("/proxies", operation_id="appoint_proxy", status_code=201, response_model=ProxyView)
@once(get_proxies, at=None)
async def post_proxy(
    patient_id: UUID, new: NewProxy, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Let an account stand in for the patient."""
    row = Proxy(patient_id=patient_id, created_by=me.subject.id, **new.model_dump())
    await put(session, clinic, me, row)
    return Json(shown(ProxyView, row.model_dump()), 201)


@router.delete("/proxies/{proxy_id}", operation_id="dismiss_proxy", status_code=204)
async def delete_proxy(
    patient_id: UUID, proxy_id: UUID, session: Transaction, clinic: Clinic, me: Me
) -> None:
    """Let an account stand in for the patient no more, however often it was appointed."""
    await end(session, clinic, me, Proxy, patient_id, proxy_id)
