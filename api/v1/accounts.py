"""Accounts, for administrators: who may log in, as what. Names are not stored, so none is shown."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field, SecretStr

from api.bodies import Strict, shown
from api.deps import STEP_UP, Clinic, Me, Transaction, tokens
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, Page, unpaged
from api.patches import LEFT_OUT, Patch
from api.texts import Line
from api.v1.me import SessionView, sessions_of
from policies.vocabulary import Category, Role, Sensitivity
from records.identity import administration
from records.identity.administration import NewAccount
from records.identity.tickets import Ticket

router = APIRouter(prefix="/accounts", tags=["accounts"])

Username = Annotated[Line, Field(min_length=3, max_length=200, examples=["ada@clinic.example"])]
Department = Annotated[Line, Field(min_length=1, max_length=100, examples=["cardiology"])]
Label = Annotated[Line, Field(min_length=1, max_length=100, examples=["Nurse Okafor"])]
Roles = Annotated[list[Role], Field(min_length=1, max_length=6, examples=[["nurse"]])]
Clearances = Annotated[
    list[Sensitivity | Category],
    Field(
        max_length=8,
        examples=[["R", "PSY"]],
        description="up to which confidentiality its owner reads, and which categories; null: what is usual",
    ),
]


class AccountIn(Strict):
    """An account to make."""

    username: Username = Field(description="an e-mail address, if links are to be sent to it")
    roles: Roles
    password: SecretStr | None = Field(None, description="without one the owner is invited")
    department: Department | None = None
    clearances: Clearances | None = None
    label: Label | None = Field(None, description="a name for screens; never a patient's")
    doctor_id: UUID | None = Field(None, description="the doctor this account is")
    patient_id: UUID | None = Field(None, description="the patient this account is")


class AccountChange(Patch):
    """What to change (RFC 7396): a member that is absent stays as it is, null clears it."""

    roles: Roles = LEFT_OUT
    active: bool = Field(LEFT_OUT, description="false logs the owner out everywhere, at once")
    department: Department | None = None
    clearances: Clearances | None = None
    label: Label | None = None
    doctor_id: UUID | None = None
    patient_id: UUID | None = None


class AccountQuery(Strict):
    """Whose account to look for: in the body, since a name has no place in a URL."""

    username: Username


class LinkView(BaseModel):
    """A link that works once. It is shown here and nowhere again."""

    url: str = Field(description="where its owner chooses a password")
    expires_at: datetime


class AccountView(BaseModel):
    """An account. Its user name is kept as a keyed hash only, its password as Argon2id."""

    id: UUID
    version: int
    roles: list[Role]
    active: bool
    invited: bool = Field(description="no password was chosen yet")
    department: str | None
    clearances: list[Sensitivity | Category] | None
    label: str | None
    doctor_id: UUID | None
    patient_id: UUID | None
    created_at: datetime


class NewAccountView(AccountView):
    """An account that was just made."""

    invitation: LinkView | None = Field(
        description="null when a password was given, and when the answer is a replay"
    )


@router.get("", operation_id="list_accounts", response_model=Listing[AccountView])
async def get_accounts(
    clinic: Clinic,
    me: Me,
    page: Page,
    role: Annotated[Role | None, Query(description="those who have this role")] = None,
    active: Annotated[bool | None, Query(description="active ones, or the others")] = None,
) -> Response:
    """List accounts."""
    found, last = await administration.list_accounts(
        clinic, me, limit=page.limit, after=page.after, role=role, active=active
    )
    return page.listed([shown(AccountView, a) for a in found], last)


@router.post("/search", operation_id="search_accounts", response_model=Listing[AccountView])
async def search_accounts(query: AccountQuery, clinic: Clinic, me: Me) -> Response:
    """Find the account of a user name."""
    found, _ = await administration.list_accounts(clinic, me, limit=1, username=query.username)
    return unpaged([shown(AccountView, a) for a in found])


@router.get("/{account_id}", operation_id="read_account", response_model=AccountView)
async def get_account(account_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one account: any for administrators, one's own for everybody."""
    account = await administration.read_account(clinic, me, account_id)
    return Json(shown(AccountView, account), headers={"ETag": etag(account["version"])})


@router.post("", operation_id="create_account", status_code=201, response_model=NewAccountView)
@once(get_account, secrets=("invitation",))
async def post_account(
    new: AccountIn, session: Transaction, clinic: Clinic, me: Me, request: Request
) -> Response:
    """Make an account. Without a password the answer holds a link for its owner to choose one."""
    given = new.model_dump() | {"password": new.password and new.password.get_secret_value()}
    account, link = await administration.create_account(session, clinic, me, NewAccount(**given))
    body = shown(AccountView, account) | {"invitation": _link(request, link) if link else None}
    location = {"Location": f"/v1/accounts/{account['id']}", "ETag": etag(account["version"])}
    return Json(body, 201, location)


@router.patch("/{account_id}", operation_id="change_account", response_model=AccountView)
async def patch_account(
    account_id: UUID,
    change: AccountChange,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
) -> Response:
    """Change an account that is not one's own. It acts on the owner's next request."""
    account = await administration.change_account(
        session, clinic, me, account_id, seen, change.changes()
    )
    return Json(shown(AccountView, account), headers={"ETag": etag(account["version"])})


@router.post(
    "/{account_id}/invitation",
    operation_id="invite_account",
    status_code=201,
    response_model=LinkView,
)
async def post_invitation(
    account_id: UUID, session: Transaction, clinic: Clinic, me: Me, request: Request
) -> Response:
    """Make a link for the owner to choose a password; those made before end."""
    link = await administration.invite(session, clinic, me, account_id)
    return Json(_link(request, link), 201)


@router.delete(
    "/{account_id}/mfa",
    operation_id="reset_account_mfa",
    status_code=204,
    dependencies=[STEP_UP],
)
async def delete_mfa(account_id: UUID, session: Transaction, clinic: Clinic, me: Me) -> None:
    """Take the second factors of an account away, whose owner has lost them. Its sessions end."""
    await administration.reset_factors(session, clinic, me, account_id)


@router.get(
    "/{account_id}/sessions",
    operation_id="list_account_sessions",
    response_model=Listing[SessionView],
)
async def get_sessions(account_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List where an account is logged in."""
    return sessions_of(me, await administration.list_sessions(clinic, me, account_id))


@router.delete("/{account_id}/sessions", operation_id="end_account_sessions", status_code=204)
async def delete_sessions(account_id: UUID, session: Transaction, clinic: Clinic, me: Me) -> None:
    """Log an account out everywhere."""
    await administration.end_sessions(session, clinic, me, account_id)


@router.delete(
    "/{account_id}/sessions/{session_id}", operation_id="end_account_session", status_code=204
)
async def delete_session(
    account_id: UUID, session_id: UUID, session: Transaction, clinic: Clinic, me: Me
) -> None:
    """End one session of an account."""
    await administration.end_sessions(session, clinic, me, account_id, only=session_id)


def _link(request: Request, link: Ticket) -> dict[str, Any]:
    return {"url": link.url(tokens(request).issuer), "expires_at": link.expires_at}
