"""OAuth clients, for administrators: which applications may ask for tokens, and for what."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.bodies import Trimmed
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, Page
from api.patches import LEFT_OUT, Patch
from api.texts import Line
from policies.vocabulary import Role
from records.identity import registry
from records.identity.models import ClientAuth
from records.identity.registry import NewClient

router = APIRouter(prefix="/clients", tags=["clients"])

Name = Annotated[Line, Field(min_length=1, max_length=100, examples=["Growth charts"])]
Uri = Annotated[str, Field(min_length=1, max_length=500, examples=["https://app.example/callback"])]
Scope = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2000,
        description="at most this; a token does no more than its scope and the policy both allow",
        examples=["openid user/Record.rs", "system/Appointment.rs"],
    ),
]


class GrantType(StrEnum):
    """What a client may exchange for tokens."""

    CODE = "authorization_code"
    REFRESH = "refresh_token"
    ITSELF = "client_credentials"
    DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class ClientIn(Trimmed):
    """A client to register (names as in RFC 7591)."""

    client_name: Name
    token_endpoint_auth_method: ClientAuth = ClientAuth.SECRET_BASIC
    grant_types: list[GrantType] = Field(
        default_factory=lambda: [GrantType.CODE, GrantType.REFRESH], min_length=1, max_length=4
    )
    redirect_uris: list[Uri] = Field(default_factory=list, max_length=10)
    post_logout_redirect_uris: list[Uri] = Field(default_factory=list, max_length=10)
    scope: Scope
    jwks: dict[str, Any] | None = Field(None, description="public keys, for private_key_jwt")
    jwks_uri: Uri | None = Field(
        None, description="where it publishes them instead", examples=["https://app.example/jwks"]
    )
    first_party: bool = Field(False, description="its users are not asked for consent")
    roles: list[Role] = Field(
        default_factory=list,
        max_length=5,
        description="whom it acts as when it asks for itself (client_credentials)",
    )


class ClientChange(Patch):
    """What to change (RFC 7396): a member that is absent stays as it is."""

    client_name: Name = LEFT_OUT
    redirect_uris: list[Uri] = Field(LEFT_OUT, max_length=10)
    post_logout_redirect_uris: list[Uri] = Field(LEFT_OUT, max_length=10)
    scope: Scope = LEFT_OUT
    jwks: dict[str, Any] | None = Field(None, description="null to publish them instead")
    jwks_uri: Uri | None = Field(None, description="null to register keys instead")
    first_party: bool = LEFT_OUT
    active: bool = Field(LEFT_OUT, description="false ends every session at the client")


class ClientView(BaseModel):
    """A registered client. Its secret is not kept."""

    client_id: UUID
    version: int
    client_name: str
    token_endpoint_auth_method: ClientAuth
    grant_types: list[str]
    redirect_uris: list[str]
    post_logout_redirect_uris: list[str]
    scope: str
    jwks: dict[str, Any] | None
    jwks_uri: str | None
    first_party: bool
    roles: list[Role] | None
    account_id: UUID | None = Field(description="whom it acts as when it asks for itself")
    active: bool
    created_at: datetime


class SecretView(BaseModel):
    """A secret. It is shown here and nowhere again."""

    client_secret: str | None = Field(
        description="null for a client without, and when the answer is a replay"
    )


class NewClientView(ClientView, SecretView):
    """A client that was just registered."""


@router.get("", operation_id="list_clients", response_model=Listing[ClientView])
async def get_clients(clinic: Clinic, me: Me, page: Page) -> Response:
    """List registered clients."""
    found, last = await registry.list_clients(clinic, me, limit=page.limit, after=page.after)
    return page.listed([_view(c) for c in found], last)


@router.get("/{client_id}", operation_id="read_client", response_model=ClientView)
async def get_client(client_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one client."""
    client = await registry.read_client(clinic, me, client_id)
    return Json(_view(client), headers={"ETag": etag(client["version"])})


@router.post("", operation_id="register_client", status_code=201, response_model=NewClientView)
@once(get_client, named="client_id", secrets=("client_secret",))
async def post_client(new: ClientIn, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Register a client. Its secret, if it has one, is shown here and nowhere again."""
    given = _inner(new.model_dump())
    client, secret = await registry.register_client(session, clinic, me, NewClient(**given))
    headers = {"Location": f"/v1/clients/{client['client_id']}", "ETag": etag(client["version"])}
    return Json(_view(client) | {"client_secret": secret}, 201, headers)


@router.patch("/{client_id}", operation_id="change_client", response_model=ClientView)
async def patch_client(
    client_id: UUID,
    change: ClientChange,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
) -> Response:
    """Change a client."""
    changes = _inner(change.changes())
    client = await registry.change_client(session, clinic, me, client_id, seen, changes)
    return Json(_view(client), headers={"ETag": etag(client["version"])})


@router.post(
    "/{client_id}/secret",
    operation_id="renew_client_secret",
    status_code=201,
    response_model=SecretView,
)
async def post_secret(client_id: UUID, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Make a new secret; the one before is worth nothing from now on."""
    secret = await registry.renew_secret(session, clinic, me, client_id)
    return Json({"client_secret": secret}, 201)


_NAMES = {"client_name": "name", "token_endpoint_auth_method": "auth_method"}


def _inner(given: dict[str, Any]) -> dict[str, Any]:
    """Return a body's members under the names we keep them by."""
    return {_NAMES.get(name, name): value for name, value in given.items()}


def _view(client: Any) -> dict[str, Any]:
    return {name: client[_NAMES.get(name, name)] for name in ClientView.model_fields}
