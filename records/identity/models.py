"""Who may log in, and the OAuth 2.1 state behind it. Tokens and codes are stored as SHA-256 only.

A login name is never stored: for a patient it would say whose chart is here. `login` is the
keyed hash of it (a blind index), which is all that a login needs.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from policies.vocabulary import Category, Role, Sensitivity
from records.base import Row, all_of, codes, moment, one_of, word


class ClientAuth(StrEnum):
    """How a client proves who it is."""

    NONE = "none"
    SECRET_BASIC = "client_secret_basic"  # noqa: S105 - the name of a method
    SECRET_POST = "client_secret_post"  # noqa: S105
    PRIVATE_KEY_JWT = "private_key_jwt"


class TicketKind(StrEnum):
    """What a one-time link is for: the first password, or a new one."""

    INVITATION = "invitation"
    RESET = "reset"


class Account(Row, table=True):
    """A person or a service that may log in. `label` names staff on screens; a patient's has none.

    `clearances` is null for what is usual for the roles.
    """

    __tablename__ = "account"
    __table_args__ = (
        all_of("roles", Role),
        all_of("clearances", (*Sensitivity, *Category)),
        CheckConstraint("NOT 'clockwork' = ANY (roles)", name="nobody_is_the_clockwork"),
        CheckConstraint("octet_length(login) = 16", name="login_is_a_token"),
        CheckConstraint("NOT 'patient' = ANY (roles) OR label IS NULL", name="patients_unnamed"),
    )

    login: bytes = Field(unique=True)
    password_hash: str = word()
    roles: list[Role] = codes()
    doctor_id: UUID | None = Field(default=None, foreign_key="doctor.id")
    patient_id: UUID | None = Field(default=None, foreign_key="patient.id")
    label: str | None = word(None)
    department: str | None = word(None)
    clearances: list[str] | None = Field(default=None, sa_type=ARRAY(Text))
    active: bool = True
    version: int = 1
    created_at: datetime = moment(default=True)


class AccountTicket(SQLModel, table=True):
    """A one-time link to choose a password by. Used ones stay, with the time of their use."""

    __tablename__ = "account_ticket"
    __table_args__ = (
        one_of("kind", TicketKind),
        CheckConstraint("octet_length(token_hash) = 32", name="hashed"),
    )

    token_hash: bytes = Field(primary_key=True)
    account_id: UUID = Field(foreign_key="account.id", index=True)
    kind: str = word()
    created_at: datetime = moment(default=True)
    expires_at: datetime = moment()
    used_at: datetime | None = moment(nullable=True)


class AccountTotp(SQLModel, table=True):
    """The seed of an authenticator app, sealed. `last_step` is the time step of the last code: none counts twice."""

    __tablename__ = "account_totp"

    account_id: UUID = Field(foreign_key="account.id", primary_key=True)
    seed: bytes
    last_step: int = Field(default=0, sa_type=BigInteger)
    confirmed_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment(default=True)


class AccountRecoveryCode(SQLModel, table=True):
    """A code on paper, instead of the authenticator app. Good once."""

    __tablename__ = "account_recovery_code"
    __table_args__ = (CheckConstraint("octet_length(code_hash) = 32", name="hashed"),)

    code_hash: bytes = Field(primary_key=True)
    account_id: UUID = Field(foreign_key="account.id", index=True)
    used_at: datetime | None = moment(nullable=True)


class AccountPasskey(Row, table=True):
    """The public half of a passkey (WebAuthn). `name` is its owner's, sealed; `synced` ones live in more than one device."""

    __tablename__ = "account_passkey"

    account_id: UUID = Field(foreign_key="account.id", index=True)
    credential_id: bytes = Field(unique=True)
    public_key: bytes
    sign_count: int = Field(default=0, sa_type=BigInteger)
    synced: bool = False
    name: bytes
    version: int = 1
    created_at: datetime = moment(default=True)
    used_at: datetime | None = moment(nullable=True)


class OAuthClient(SQLModel, table=True):
    """A registered client. PKCE protects public ones, a secret or a key of their own the others.

    `account_id` is whom it acts as when it asks for itself; `registered_by` is null for our own clients. Nobody is asked
    for consent by those, nor by a `first_party`.
    """

    __tablename__ = "oauth_client"
    __table_args__ = (one_of("auth_method", ClientAuth),)

    id: str = word(primary_key=True)
    name: str = word()
    redirect_uris: list[str] = codes()
    post_logout_redirect_uris: list[str] = codes()
    grant_types: list[str] = codes()
    scope: str = word("")
    auth_method: str = word("none")
    secret_hash: str | None = word(None)
    jwks: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    jwks_uri: str | None = word(None)
    first_party: bool = False
    account_id: UUID | None = Field(default=None, foreign_key="account.id")
    registered_by: UUID | None = Field(default=None, foreign_key="account.id")
    active: bool = True
    version: int = 1
    created_at: datetime = moment(default=True)


class OAuthConsent(SQLModel, table=True):
    """What an account has agreed that a client may do for it."""

    __tablename__ = "oauth_consent"

    account_id: UUID = Field(foreign_key="account.id", primary_key=True)
    client_id: str = Field(sa_type=Text, foreign_key="oauth_client.id", primary_key=True)
    scopes: list[str] = codes()
    given_at: datetime = moment(default=True)


class OAuthAssertion(SQLModel, table=True):
    """What proved a client, or answered a challenge to a passkey: kept until it ends, so that it proves nothing twice."""

    __tablename__ = "oauth_assertion"
    __table_args__ = (CheckConstraint("octet_length(assertion_hash) = 32", name="hashed"),)

    assertion_hash: bytes = Field(primary_key=True)
    expires_at: datetime = moment()


class OAuthSession(Row, table=True):
    """One login of one account at one client: the family of tokens that is revoked as a whole."""

    __tablename__ = "oauth_session"

    account_id: UUID = Field(foreign_key="account.id", index=True)
    client_id: str = Field(sa_type=Text, foreign_key="oauth_client.id")
    scope: str = word("")
    auth_time: datetime = moment(default=True)
    amr: list[str] = codes()
    expires_at: datetime = moment()
    revoked_at: datetime | None = moment(nullable=True)


class OAuthCode(SQLModel, table=True):
    """An authorization code. Kept after use, so that a replay revokes what it minted (RFC 9700)."""

    __tablename__ = "oauth_code"
    __table_args__ = (CheckConstraint("octet_length(code_hash) = 32", name="hashed"),)

    code_hash: bytes = Field(primary_key=True)
    client_id: str = Field(sa_type=Text, foreign_key="oauth_client.id")
    account_id: UUID = Field(foreign_key="account.id")
    redirect_uri: str = word()
    scope: str = word("")
    nonce: str | None = word(None)
    challenge: str = word()
    auth_time: datetime = moment(default=True)
    amr: list[str] = codes()
    expires_at: datetime = moment()
    session_id: UUID | None = Field(default=None, foreign_key="oauth_session.id")


class OAuthPushedRequest(SQLModel, table=True):
    """An authorization request that a client has sent beforehand (RFC 9126): the browser carries its name only."""

    __tablename__ = "oauth_pushed_request"
    __table_args__ = (CheckConstraint("octet_length(request_hash) = 32", name="hashed"),)

    request_hash: bytes = Field(primary_key=True)
    client_id: str = Field(sa_type=Text, foreign_key="oauth_client.id")
    parameters: dict[str, str] = Field(sa_type=JSONB)
    expires_at: datetime = moment()


class OAuthDevice(SQLModel, table=True):
    """A device that waits for somebody to log it in elsewhere (RFC 8628). `allowed` is null until they have decided."""

    __tablename__ = "oauth_device"
    __table_args__ = (
        CheckConstraint("octet_length(device_hash) = 32", name="device_hashed"),
        CheckConstraint("octet_length(user_hash) = 32", name="user_hashed"),
    )

    device_hash: bytes = Field(primary_key=True)
    user_hash: bytes = Field(unique=True)
    client_id: str = Field(sa_type=Text, foreign_key="oauth_client.id")
    scope: str = word("")
    account_id: UUID | None = Field(default=None, foreign_key="account.id")
    allowed: bool | None = None
    amr: list[str] = codes()
    auth_time: datetime | None = moment(nullable=True)
    polled_at: datetime | None = moment(nullable=True)
    used_at: datetime | None = moment(nullable=True)
    expires_at: datetime = moment()


class OAuthRefreshToken(SQLModel, table=True):
    """A refresh token. Used ones stay: a second use kills the session."""

    __tablename__ = "oauth_refresh_token"
    __table_args__ = (CheckConstraint("octet_length(token_hash) = 32", name="hashed"),)

    token_hash: bytes = Field(primary_key=True)
    session_id: UUID = Field(foreign_key="oauth_session.id", index=True)
    issued_at: datetime = moment(default=True)
    expires_at: datetime = moment()
    used_at: datetime | None = moment(nullable=True)
