"""The caller's passkeys. Our own page makes them (`/oauth/account`); an application on our origin may do it too."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from api.bodies import Trimmed
from api.deps import STEP_UP, Clinic, Me, Transaction, recent, tokens
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.paging import Listing, unpaged
from core.errors import FieldError, Invalid
from records.identity import passkeys
from records.identity.challenges import challenge, spent
from records.identity.own import require_whole
from records.identity.passkeys import Site

router = APIRouter(prefix="/me/passkeys", tags=["me"])

Name = Annotated[str, Field(min_length=1, max_length=60, examples=["Laptop"])]


class PasskeyView(BaseModel):
    """A passkey. Of the key pair we keep the public half, and show none of it."""

    id: UUID
    name: str
    synced: bool = Field(description="it may live in more than one device")
    version: int
    created_at: datetime
    used_at: datetime | None = Field(description="when it last logged its owner in")


class OptionsView(BaseModel):
    """What a browser needs to make a passkey."""

    options: dict[str, Any] = Field(
        description="for `PublicKeyCredential.parseCreationOptionsFromJSON`"
    )
    challenge: str = Field(description="to send back with the passkey; good once, for five minutes")


class PasskeyIn(Trimmed):
    """A passkey that a browser made."""

    name: Name
    challenge: str = Field(max_length=2000, description="as it came with the options")
    credential: dict[str, Any] = Field(description="the credential's `toJSON()`")


class NewPasskeyView(PasskeyView):
    """A new passkey."""

    recovery_codes: list[str] | None = Field(
        description="of the first second factor; shown here and nowhere again"
    )


class PasskeyChange(Trimmed):
    """Another name."""

    name: Name


@router.get("", operation_id="list_own_passkeys", response_model=Listing[PasskeyView])
async def get_passkeys(clinic: Clinic, me: Me) -> Response:
    """List one's passkeys."""
    return unpaged(await passkeys.own_passkeys(clinic, me.subject.id))


@router.post(
    "/options",
    operation_id="begin_passkey",
    response_model=OptionsView,
    dependencies=[Depends(recent)],
)
async def post_options(request: Request, clinic: Clinic, me: Me) -> Response:
    """Begin to make a passkey."""
    require_whole(me)
    issuer = tokens(request)
    asked = challenge(issuer, f"enrol {me.subject.id}")
    site = Site.of(issuer.issuer)
    options = await passkeys.creation(clinic, site, me.subject.id, asked.signed)
    return Json({"options": orjson.loads(options), "challenge": asked.text})


@router.post(
    "",
    operation_id="add_passkey",
    status_code=201,
    response_model=NewPasskeyView,
    dependencies=[Depends(recent)],
)
async def post_passkey(
    made: PasskeyIn, request: Request, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Enrol a passkey that a browser made. From now on a login needs a second factor, or is by passkey."""
    require_whole(me)
    issuer = tokens(request)
    asked = await spent(session, issuer, made.challenge, f"enrol {me.subject.id}")
    if asked is None:
        fault = FieldError("/challenge", "ended", "it is too old, used, or not for this account")
        raise Invalid(errors=[fault])
    credential = json.dumps(made.credential)  # as it came, whatever numbers it holds
    its = Site.of(issuer.issuer), asked.signed, credential, made.name
    passkey, codes = await passkeys.enrol(session, clinic, me, *its)
    headers = {"Location": f"/v1/me/passkeys/{passkey['id']}", "ETag": etag(passkey["version"])}
    return Json({**passkey, "recovery_codes": codes}, 201, headers)


@router.patch("/{passkey_id}", operation_id="rename_passkey", response_model=PasskeyView)
async def patch_passkey(
    passkey_id: UUID,
    change: PasskeyChange,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
) -> Response:
    """Give a passkey another name."""
    require_whole(me)
    passkey = await passkeys.rename(session, clinic, me, passkey_id, seen, change.name)
    return Json(passkey, headers={"ETag": etag(passkey["version"])})


@router.delete(
    "/{passkey_id}", operation_id="remove_passkey", status_code=204, dependencies=[STEP_UP]
)
async def delete_passkey(
    passkey_id: UUID, session: Transaction, clinic: Clinic, me: Me, seen: MustHaveSeen
) -> None:
    """Take a passkey away: it logs nobody in any more."""
    require_whole(me)
    await passkeys.remove(session, clinic, me, passkey_id, seen)
