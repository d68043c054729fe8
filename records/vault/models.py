"""A patient's data-encryption keys, each wrapped by a KEK that is not in this database."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from records.anchors import Anchored
from records.base import moment, one_of, word


class KeyState(StrEnum):
    """Active keys seal and open, decrypt-only keys open, destroyed keys do neither: shredded."""

    ACTIVE = "active"
    DECRYPT_ONLY = "decrypt_only"
    DESTROYED = "destroyed"


class PatientKey(Anchored, table=True):
    """One version of one patient's DEK. It comes first: the patient's own row is sealed by it."""

    __tablename__ = "patient_key"
    __table_args__ = (
        UniqueConstraint("key_id", "patient_id"),
        UniqueConstraint("patient_id", "version"),
        one_of("state", KeyState),
        CheckConstraint("(state = 'destroyed') = (wrapped IS NULL)", name="destroyed"),
        CheckConstraint("version > 0 AND kek_version > 0", name="versions"),
        Index(
            "uq_patient_key_active",
            "patient_id",
            unique=True,
            postgresql_where=text("state = 'active'"),
        ),
    )

    key_id: int = Field(
        primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False}
    )
    patient_id: UUID
    version: int = 1
    state: KeyState = word(KeyState.ACTIVE)
    kek_version: int
    wrapped: bytes | None
    created_at: datetime = moment(default=True)
    destroyed_at: datetime | None = moment(nullable=True)


class IndexKey(SQLModel, table=True):
    """A root of blind indexes, wrapped by the index KEK; `patients` is how many they are sized for. No patient is found by a retired one."""

    __tablename__ = "index_key"
    __table_args__ = (
        CheckConstraint("version > 0 AND kek_version > 0", name="versions"),
        CheckConstraint("patients > 0", name="patients"),
    )

    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    kek_version: int
    wrapped: bytes
    patients: int
    retired: bool = False
    created_at: datetime = moment(default=True)
