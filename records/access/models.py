"""Facts that decisions rest on: who treats whom, and the policy in force."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field, SQLModel

from records.base import Row, moment, word


class CareTeam(Row, table=True):
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
