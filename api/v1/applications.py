"""The applications that the caller has let in: what each may do, and an end to it."""

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.deps import Clinic, Me, Transaction
from api.paging import Listing, unpaged
from records.identity import consents
from records.identity.own import require_whole

router = APIRouter(prefix="/me/applications", tags=["me"])


class ApplicationView(BaseModel):
    """An application that one has agreed to."""

    client_id: str
    client_name: str = Field(examples=["Growth charts"])
    scopes: list[str] = Field(examples=[["openid", "user/Record.rs"]])
    given_at: datetime = Field(description="when one agreed, the last time")


@router.get("", operation_id="list_own_applications", response_model=Listing[ApplicationView])
async def get_applications(clinic: Clinic, me: Me) -> Response:
    """List the applications that one has let in."""
    require_whole(me)
    return unpaged(await consents.own_applications(clinic, me.subject.id))


@router.delete("/{client_id}", operation_id="withdraw_consent", status_code=204)
async def delete_application(client_id: str, session: Transaction, clinic: Clinic, me: Me) -> None:
    """Take one's consent back: the application's sessions end, and it has to ask again."""
    require_whole(me)
    await consents.withdraw(session, clinic, me, client_id)
