"""Passkeys (WebAuthn): key pairs in people's devices, of which we keep the public half.

A passkey is a second factor beside a password, or the whole login: every one of them is discoverable and verifies
its user. What an authenticator is told of an account is its id and the label of staff; what we keep of a passkey
that its owner chose, its name, is sealed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import parse_authentication_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from core.clock import now
from core.errors import Conflict, FieldError, Invalid, NotFound, PreconditionFailed
from records.access.me import Me
from records.base import add, table_of
from records.clinic import Clinic
from records.identity import factors
from records.identity.callers import forget
from records.identity.models import AccountPasskey

MOST: Final = 10
"""Passkeys of an account."""
LONGEST_NAME: Final = 60
_VERIFIED: Final = UserVerificationRequirement.REQUIRED
_BROKEN: Final = (
    WebAuthnException,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)
"""What the library raises of a response that is none."""

_passkey = table_of(AccountPasskey).c
_SHOWN: Final = (
    _passkey.id, _passkey.name, _passkey.synced,
    _passkey.version, _passkey.created_at, _passkey.used_at,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """Whom passkeys are for (the relying party): a host, and the origins whose pages may ask for them."""

    id: str
    origins: Sequence[str]

    @classmethod
    def of(cls, issuer: str) -> "Site":
        """Return the site of an issuer. Addresses have no passkeys; the loopback's has a name that may."""
        parts = urlsplit(issuer.replace("://127.0.0.1", "://localhost"))
        return cls(parts.hostname or "", [f"{parts.scheme}://{parts.netloc}"])


@dataclass(frozen=True, slots=True)
class Proof:
    """Whose passkey signed a challenge; `kind` is its `amr`: `hwk` is bound to a device, `swk` is synced."""

    account: UUID
    kind: str


async def creation(clinic: Clinic, site: Site, account_id: UUID, challenge: bytes) -> str:
    """Return the options, as JSON, by which a browser makes a passkey; PHI and user names are none of them."""
    options = generate_registration_options(
        rp_id=site.id,
        rp_name="Confide",
        user_id=account_id.bytes,
        user_name=f"Confide {account_id.hex[-8:]}",
        challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_VERIFIED
        ),
        exclude_credentials=_described(await credentials(clinic, account_id)),
    )
    return options_to_json(options)


async def enrol(
    session: AsyncSession,
    clinic: Clinic,
    me: Me,
    site: Site,
    challenge: bytes,
    credential: str,
    name: str,
) -> tuple[Mapping[str, Any], Sequence[str] | None]:
    """Keep the caller's new passkey; return it, and recovery codes if it is the first second factor.

    Invalid for a response that is no answer to this challenge at this site; Conflict for one passkey too many.
    """
    owner = me.subject.id
    held = select(func.count()).where(_passkey.account_id == owner)
    if (await session.execute(held)).scalar_one() >= MOST:
        raise Conflict(f"an account has {MOST} passkeys at most", code="too-many-passkeys")
    row = _row(owner, site, challenge, credential)
    row.name = clinic.indexes.lock(owner, name.encode())
    first = not await factors.enrolled(clinic, owner)
    try:
        await add(session, row)
    except Conflict:
        raise Conflict("this passkey is enrolled already", code="factor-exists") from None
    await factors.note(session, clinic, me, owner, "passkey-enrolled")
    forget(session)
    codes = await factors.fresh_codes(session, clinic, me) if first else None
    return _shown(clinic, owner, row.model_dump()), codes


def _row(owner: UUID, site: Site, challenge: bytes, credential: str) -> AccountPasskey:
    try:
        made = verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.id,
            expected_origin=list(site.origins),
            require_user_verification=True,
        )
    except _BROKEN:
        fault = FieldError("/credential", "wrong", "this is no answer to our challenge")
        raise Invalid(errors=[fault]) from None
    return AccountPasskey(
        account_id=owner,
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        synced=made.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
        name=b"",
    )


def request(site: Site, challenge: bytes, known: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the options, as JSON, by which a browser signs a challenge: with any passkey, or one of those known."""
    options = generate_authentication_options(
        rp_id=site.id,
        challenge=challenge,
        allow_credentials=_described(known) or None,
        user_verification=_VERIFIED,
    )
    return options_to_json(options)


async def credentials(clinic: Clinic, account_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return the ids by which an account's passkeys are asked for."""
    its = _passkey.account_id == account_id
    return await clinic.database.select(select(_passkey.credential_id).where(its))


async def prove(
    session: AsyncSession, site: Site, challenge: bytes, response: str, account_id: UUID | None
) -> Proof | None:
    """Return whose passkey answered a challenge; None for no answer, and for another's than the account given.

    A counter that did not go up is refused: there may be a copy of the key.
    """
    try:
        given = parse_authentication_credential_json(response)
        handle = given.response.user_handle
        claimed = UUID(bytes=handle) if handle else account_id
        row = await _held(session, given.raw_id)
        if row is None or not row.account_id == claimed == (account_id or claimed):
            return None
        signed = verify_authentication_response(
            credential=given,
            expected_challenge=challenge,
            expected_rp_id=site.id,
            expected_origin=list(site.origins),
            credential_public_key=row.public_key,
            credential_current_sign_count=row.sign_count,
            require_user_verification=True,
        )
    except _BROKEN:
        return None
    row.sign_count, row.used_at = signed.new_sign_count, now()
    return Proof(row.account_id, "swk" if row.synced else "hwk")


async def own_passkeys(clinic: Clinic, account_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return an account's passkeys, the first made first."""
    its = _passkey.account_id == account_id
    rows = await clinic.database.select(select(*_SHOWN).where(its).order_by(_passkey.id))
    return [_shown(clinic, account_id, row) for row in rows]


async def rename(
    session: AsyncSession, clinic: Clinic, me: Me, passkey_id: UUID, seen: int | None, name: str
) -> Mapping[str, Any]:
    """Give a passkey of the caller's another name; NotFound, or PreconditionFailed unless it is at the version seen."""
    row = await _own(session, me, passkey_id, seen)
    row.name, row.version = clinic.indexes.lock(me.subject.id, name.encode()), row.version + 1
    await factors.note(session, clinic, me, me.subject.id, "passkey-renamed")
    return _shown(clinic, me.subject.id, row.model_dump())


async def remove(
    session: AsyncSession, clinic: Clinic, me: Me, passkey_id: UUID, seen: int | None
) -> None:
    """Take a passkey of the caller's away, at the version seen; it logs nobody in any more."""
    row = await _own(session, me, passkey_id, seen)
    await session.execute(delete(AccountPasskey).where(_passkey.id == row.id))
    await factors.note(session, clinic, me, me.subject.id, "passkey-removed")
    forget(session)


async def _own(session: AsyncSession, me: Me, passkey_id: UUID, seen: int | None) -> AccountPasskey:
    its = _passkey.id == passkey_id, _passkey.account_id == me.subject.id
    found = select(AccountPasskey).where(*its).with_for_update()
    row: AccountPasskey | None = (await session.execute(found)).scalar()
    if row is None:
        raise NotFound("there is no such passkey")
    if seen not in (None, row.version):
        raise PreconditionFailed("the passkey has changed since you read it")
    return row


async def _held(session: AsyncSession, credential_id: bytes) -> AccountPasskey | None:
    its = _passkey.credential_id == credential_id
    found = select(AccountPasskey).where(its).with_for_update()
    row: AccountPasskey | None = (await session.execute(found)).scalar()
    return row


def _described(known: Sequence[Mapping[str, Any]]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=row["credential_id"]) for row in known]


def _shown(clinic: Clinic, account_id: UUID, row: Mapping[str, Any]) -> Mapping[str, Any]:
    shown = {column.name: row[column.name] for column in _SHOWN}
    return shown | {"name": clinic.indexes.unlock(account_id, row["name"]).decode()}
