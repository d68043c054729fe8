"""The caller, as the policy sees them, and what they may do to their own account."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, SecretStr

from api.bodies import Strict
from api.deps import Clinic, Me, Transaction
from api.json import Json
from api.paging import Listing, unpaged
from records.access.me import Me as Caller
from records.identity import own

router = APIRouter(tags=["me"])


class MeView(BaseModel):
    """The caller as the policy sees them."""

    account_id: UUID
    roles: list[str] = Field(examples=[["doctor"]])
    doctor_id: UUID | None = None
    patient_id: UUID | None = None
    purpose: str = Field(description="the purpose of use in force (HL7 PurposeOfUse)")
    session_id: UUID | None = None


class SessionView(BaseModel):
    """A login at a client: all its tokens live and end with it."""

    id: UUID
    client_id: str = Field(examples=["confide-docs"])
    scope: str
    auth_time: datetime = Field(description="when its owner logged in")
    expires_at: datetime
    current: bool = Field(description="this request's own")


class PasswordChange(Strict):
    """The present password, and another one."""

    current_password: SecretStr = Field(max_length=1024)
    new_password: SecretStr = Field(max_length=1024, description="12 characters or more")


@router.get("/me", operation_id="read_me", response_model=MeView)
async def read_me(me: Me) -> Response:
    """Return the account behind the token."""
    subject = me.subject
    told = {
        "account_id": subject.id,
        "roles": sorted(subject.roles),
        "doctor_id": subject.doctor_id,
        "patient_id": subject.patient_id,
        "purpose": me.environment.purpose,
        "session_id": me.session,
    }
    return Json(told)


@router.post("/me/password", operation_id="change_own_password", status_code=204)
async def change_password(
    change: PasswordChange, session: Transaction, clinic: Clinic, me: Me
) -> None:
    """Set another password. Every other session ends."""
    current, new = change.current_password, change.new_password
    await own.change_password(
        session, clinic, me, current.get_secret_value(), new.get_secret_value()
    )


@router.get("/me/sessions", operation_id="list_own_sessions", response_model=Listing[SessionView])
async def get_own_sessions(clinic: Clinic, me: Me) -> Response:
    """List where one is logged in."""
    return sessions_of(me, await own.own_sessions(clinic, me))


@router.delete("/me/sessions", operation_id="end_other_sessions", status_code=204)
async def delete_own_sessions(session: Transaction, clinic: Clinic, me: Me) -> None:
    """Log out everywhere else."""
    await own.end_own_sessions(session, clinic, me)


@router.delete("/me/sessions/{session_id}", operation_id="end_own_session", status_code=204)
async def delete_own_session(
    session_id: UUID, session: Transaction, clinic: Clinic, me: Me
) -> None:
    """End one session of one's own."""
    await own.end_own_sessions(session, clinic, me, session_id)


def sessions_of(me: Caller, rows: Sequence[Mapping[str, Any]]) -> Response:
    """Answer with a list of sessions."""
    return unpaged([{**row, "current": row["id"] == me.session} for row in rows])
