"""Facts that decisions rest on: who treats whom, and the policy in force."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field, SQLModel

from core.crypto.envelope import Cell
from policies.vocabulary import Category, Purpose, Role
from records.anchors import Anchored
from records.base import Protected, Row, moment, one_of, phi, sealed_by, word


class CareTeam(Row, Anchored, table=True):
    """A doctor, or an account (a nurse), who treats a patient for a time."""

    __tablename__ = "care_team"
    __table_args__ = (
        CheckConstraint("(doctor_id IS NULL) <> (account_id IS NULL)", name="one_member"),
        CheckConstraint("valid_until > valid_from", name="period"),
        Index("ix_care_team_doctor", "patient_id", "doctor_id"),
        Index("ix_care_team_account", "patient_id", "account_id"),
    )

    patient_id: UUID = Field(foreign_key="patient.id")
    doctor_id: UUID | None = Field(default=None, foreign_key="doctor.id")
    account_id: UUID | None = Field(default=None, foreign_key="account.id")
    valid_from: datetime = moment(default=True)
    valid_until: datetime | None = moment(nullable=True)


class SamePerson(SQLModel, table=True):
    """Which ids are one person's: each patient with themselves, and with those they were joined to, both ways."""

    __tablename__ = "same_person"

    patient_id: UUID = Field(foreign_key="patient.id", primary_key=True)
    other_id: UUID = Field(foreign_key="patient.id", primary_key=True)


class Decision(StrEnum):
    """What a patient says about the use of their data."""

    PERMIT = "permit"
    DENY = "deny"


class Consent(Row, Anchored, table=True):
    """A directive of a patient: to one person, to a role or to all; about one category or everything; for one purpose or any.

    A permit counts for whom it names. It lifts a denial that is wider, and lets a clinician in who treats nobody here.
    """

    __tablename__ = "consent"
    __table_args__ = (
        one_of("decision", Decision),
        one_of("role", Role),
        one_of("category", Category),
        one_of("purpose", Purpose),
        CheckConstraint("num_nonnulls(account_id, doctor_id, role) <= 1", name="one_actor"),
        CheckConstraint(
            "decision = 'deny' OR num_nonnulls(account_id, doctor_id) = 1", name="permit_names"
        ),
        CheckConstraint("valid_until > valid_from", name="period"),
        CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name="revoked"),
    )

    patient_id: UUID = Field(foreign_key="patient.id", index=True)
    decision: Decision = word()
    account_id: UUID | None = Field(default=None, foreign_key="account.id")
    doctor_id: UUID | None = Field(default=None, foreign_key="doctor.id")
    role: Role | None = word(None)
    category: Category | None = word(None)
    purpose: Purpose | None = word(None)
    valid_from: datetime = moment(default=True)
    valid_until: datetime | None = moment(nullable=True)
    created_by: UUID = Field(foreign_key="account.id")
    created_at: datetime = moment(default=True)
    revoked_by: UUID | None = Field(default=None, foreign_key="account.id")
    revoked_at: datetime | None = moment(nullable=True)


class Proxy(Row, Anchored, table=True):
    """An account that stands in for a patient: a parent's, a guardian's."""

    __tablename__ = "proxy"
    __table_args__ = (
        CheckConstraint("valid_until > valid_from", name="period"),
        Index("ix_proxy_account", "account_id", "patient_id"),
    )

    patient_id: UUID = Field(foreign_key="patient.id", index=True)
    account_id: UUID = Field(foreign_key="account.id")
    relationship: str = word(max_length=40)
    valid_from: datetime = moment(default=True)
    valid_until: datetime | None = moment(nullable=True)
    created_by: UUID = Field(foreign_key="account.id")


class BreakGlass(Protected, table=True):
    """An emergency grant: one account, one patient, a few hours; with a reason, and reviewed afterwards."""

    __tablename__ = "break_glass"
    __table_args__ = (
        sealed_by(),
        CheckConstraint("expires_at <= granted_at + interval '4 hours'", name="four_hours"),
        CheckConstraint("(reviewed_at IS NULL) = (verdict IS NULL)", name="reviewed"),
        CheckConstraint("reviewed_by <> account_id", name="reviewed_by_another"),
        CheckConstraint("verdict IN ('justified', 'unjustified')", name="verdict"),
        Index("ix_break_glass_account", "account_id", "patient_id", "expires_at"),
        Index("ix_break_glass_unreviewed", "id", postgresql_where=text("reviewed_at IS NULL")),
    )

    patient_id: UUID = Field(foreign_key="patient.id")
    account_id: UUID = Field(foreign_key="account.id")
    reason_code: str = word(max_length=40)
    explanation: Cell = phi()
    granted_at: datetime = moment(default=True)
    expires_at: datetime = moment()
    reviewed_by: UUID | None = Field(default=None, foreign_key="account.id")
    reviewed_at: datetime | None = moment(nullable=True)
    verdict: str | None = word(None)
    remark: Cell | None = phi(nullable=True)


class PolicyVersion(SQLModel, table=True):
    """An immutable set of rules. `checksum` is over the canonical rows: what is loaded is what was published.

    Without a publisher it came with the software. `restored` names the version whose rules it has again.
    """

    __tablename__ = "policy_version"
    __table_args__ = (CheckConstraint("author_id <> publisher_id", name="four_eyes"),)

    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    checksum: str = word()
    reason: str = word()
    author_id: UUID | None = Field(default=None, foreign_key="account.id")
    publisher_id: UUID | None = Field(default=None, foreign_key="account.id")
    draft_id: UUID | None = None
    restored: int | None = Field(default=None, foreign_key="policy_version.version")
    published_at: datetime = moment(default=True)


class PolicyRule(SQLModel, table=True):
    """One rule of one version (the meaning of the columns: `policies.rules.Rule`)."""

    __tablename__ = "policy_rule"
    __table_args__ = (
        CheckConstraint("effect IN ('allow', 'deny')", name="effect"),
        CheckConstraint("tier BETWEEN 1 AND 4", name="tier"),
    )

    version: int = Field(foreign_key="policy_version.version", primary_key=True)
    id: str = word(primary_key=True)
    tier: int
    subject: str = word()
    resource: str = word()
    action: str = word()
    effect: str = word()
    condition: str = word()
    note: str = word("")


class PolicyHead(SQLModel, table=True):
    """The one row that says which version is in force."""

    __tablename__ = "policy_head"
    __table_args__ = (CheckConstraint("one", name="one_row"),)

    one: bool = Field(default=True, primary_key=True)
    version: int = Field(foreign_key="policy_version.version")


class PolicyProcess(SQLModel, table=True):
    """A process that decides, the version it decides by, and when it last looked for a newer one."""

    __tablename__ = "policy_process"

    process: UUID = Field(primary_key=True)
    version: int = Field(foreign_key="policy_version.version")
    seen_at: datetime = moment(default=True)
