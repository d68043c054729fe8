"""What happens to keys: rotations under way, erasures asked for, and holds that forbid them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field

from core.crypto.kek import KeyPurpose
from records.base import Row, moment, one_of, word

__all__ = [
    "Erasure",
    "ErasureReason",
    "KeyPurpose",
    "KeyRotation",
    "LegalHold",
    "RotationKind",
    "RotationState",
]


class RotationKind(StrEnum):
    """`kek`: a new key-encryption key, every wrapped key rewrapped. `dek`: new data keys, every cell sealed anew.

    `index`: a new root key of the blind indexes, every search token made anew.
    """

    KEK = "kek"
    DEK = "dek"
    INDEX = "index"


class RotationState(StrEnum):
    """A rotation is asked for, goes on in the background, and is done."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"


class ErasureReason(StrEnum):
    """Why a patient's data is destroyed for good."""

    PATIENT_REQUEST = "patient-request"
    RETENTION_ENDED = "retention-ended"
    COURT_ORDER = "court-order"


class KeyRotation(Row, table=True):
    """One rotation. What is left to do stands in the keys themselves; the row says who asked and how far it got."""

    __tablename__ = "key_rotation"
    __table_args__ = (
        one_of("kind", RotationKind),
        one_of("state", RotationState),
        one_of("purpose", KeyPurpose),
        CheckConstraint("done >= 0 AND total >= 0 AND failed >= 0", name="counts"),
        CheckConstraint("kind = 'dek' OR patient_id IS NULL", name="one_patient"),
        Index("ix_key_rotation_open", "id", postgresql_where=text("state <> 'done'")),
    )

    kind: RotationKind = word()
    purpose: KeyPurpose = word(KeyPurpose.RECORD)
    patient_id: UUID | None = Field(default=None, foreign_key="patient.id")
    target: int | None = None
    state: RotationState = word(RotationState.PENDING)
    total: int = 0
    done: int = 0
    failed: int = 0
    requested_by: UUID = Field(foreign_key="account.id")
    created_at: datetime = moment(default=True)
    finished_at: datetime | None = moment(nullable=True)


class Erasure(Row, table=True):
    """The destruction of one patient's keys: asked for by one person, done by another."""

    __tablename__ = "erasure"
    __table_args__ = (
        one_of("reason", ErasureReason),
        CheckConstraint("approved_by <> requested_by", name="two_people"),
        CheckConstraint("(approved_by IS NULL) = (erased_at IS NULL)", name="done"),
    )

    patient_id: UUID = Field(foreign_key="patient.id", unique=True)
    reason: ErasureReason = word()
    requested_by: UUID = Field(foreign_key="account.id")
    requested_at: datetime = moment(default=True)
    approved_by: UUID | None = Field(default=None, foreign_key="account.id")
    erased_at: datetime | None = moment(nullable=True)
    keys_destroyed: int = 0


class LegalHold(Row, table=True):
    """A reason of law to keep a patient's data: while it stands, nothing of the patient is erased."""

    __tablename__ = "legal_hold"
    __table_args__ = (
        Index(
            "uq_legal_hold_standing",
            "patient_id",
            unique=True,
            postgresql_where=text("lifted_at IS NULL"),
        ),
    )

    patient_id: UUID = Field(foreign_key="patient.id")
    reference: str = word(max_length=100)
    placed_by: UUID = Field(foreign_key="account.id")
    placed_at: datetime = moment(default=True)
    lifted_by: UUID | None = Field(default=None, foreign_key="account.id")
    lifted_at: datetime | None = moment(nullable=True)
