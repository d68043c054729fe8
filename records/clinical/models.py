"""Medical records: a head with what decisions need, and one sealed, immutable row for each version."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field

from core.crypto.envelope import Cell
from policies.vocabulary import Category, Sensitivity
from records.anchors import Anchored
from records.base import Protected, Row, all_of, codes, moment, one_of, phi, sealed_by, word


class RecordKind(StrEnum):
    """What a record is about; each kind has its own content model."""

    NOTE = "note"
    DIAGNOSIS = "diagnosis"
    PRESCRIPTION = "prescription"
    ALLERGY = "allergy"
    OBSERVATION = "observation"
    REFERRAL = "referral"


class RecordStatus(StrEnum):
    """The legal life of a record (FHIR document status, HL7 terms)."""

    DRAFT = "draft"
    PRELIMINARY = "preliminary"
    FINAL = "final"
    AMENDED = "amended"
    CORRECTED = "corrected"
    ADDENDED = "addended"
    ENTERED_IN_ERROR = "entered-in-error"


class RecordAct(StrEnum):
    """What made a version of a record."""

    WRITE = "write"
    EDIT = "edit"
    SIGN = "sign"
    COSIGN = "cosign"
    AMEND = "amend"
    CORRECT = "correct"
    ADDEND = "addend"
    RETRACT = "retract"


UNSIGNED: Final = frozenset({RecordStatus.DRAFT, RecordStatus.PRELIMINARY})
"""The statuses in which a record may still be edited. From the signature on it is only added to."""


class Record(Row, Anchored, table=True):
    """The head of a medical record: codes and ids only. Its words are in `RecordVersion`."""

    __tablename__ = "record"
    __table_args__ = (
        one_of("kind", RecordKind),
        one_of("status", RecordStatus),
        one_of("sensitivity", Sensitivity),
        all_of("categories", Category),
        CheckConstraint("version > 0", name="version"),
        UniqueConstraint("id", "patient_id"),
        ForeignKeyConstraint(
            ["appointment_id", "patient_id"], ["appointment.id", "appointment.patient_id"]
        ),
        Index("ix_record_patient", "patient_id", "id"),
    )

    patient_id: UUID = Field(foreign_key="patient.id")
    appointment_id: UUID = Field(index=True)
    author_id: UUID = Field(foreign_key="account.id")
    kind: RecordKind = word()
    status: RecordStatus = word(RecordStatus.DRAFT)
    sensitivity: Sensitivity = word(Sensitivity.NORMAL)
    categories: list[Category] = codes()
    addendum_to: UUID | None = Field(default=None, foreign_key="record.id", index=True)
    locked: bool = False
    source: str | None = word(None, max_length=200, unique=True)
    version: int = 1
    created_at: datetime = moment(default=True)


class RecordVersion(Protected, table=True):
    """One written state of a record. Never updated: every write is a new version.

    `digest` is its signature: signer and time are `author_id` and `written_at`, for nobody signs what another
    writes. It is sealed, because a bare digest of a short text gives the text away to who tries them all.
    """

    __tablename__ = "record_version"
    __table_args__ = (
        sealed_by(),
        UniqueConstraint("record_id", "number"),
        CheckConstraint("number > 0", name="number"),
        one_of("act", RecordAct),
        one_of("status", RecordStatus),
        one_of("sensitivity", Sensitivity),
        all_of("categories", Category),
        ForeignKeyConstraint(["record_id", "patient_id"], ["record.id", "record.patient_id"]),
    )
    resource: ClassVar[str] = "record_id"

    record_id: UUID
    number: int = 1
    act: RecordAct = word(RecordAct.WRITE)
    status: RecordStatus = word()
    sensitivity: Sensitivity = word()
    categories: list[Category] = codes()
    author_id: UUID = Field(foreign_key="account.id")
    title: Cell = phi()
    content: Cell = phi()
    reason: Cell | None = phi(nullable=True)
    digest: Cell | None = phi(nullable=True)
    written_at: datetime = moment(default=True)


class CardImage(Protected, table=True):
    """A picture of an insurance card, kept as an attachment is; see there."""

    __tablename__ = "card_image"
    __table_args__ = (sealed_by(), CheckConstraint("size >= 0", name="size"))
    resource: ClassVar[str] = "coverage_id"

    coverage_id: UUID = Field(foreign_key="coverage.id", index=True)
    name: Cell = phi(padded=True)
    media_type: Cell = phi(padded=True)
    digest: Cell = phi()
    secret: Cell = phi()
    size: int = Field(sa_type=BigInteger)
    created_by: UUID = Field(foreign_key="account.id")
    created_at: datetime = moment(default=True)


class Attachment(Protected, table=True):
    """A file of a record: its words here, its bytes in a blob.

    The blob has a key of its own, which is sealed here: to rotate the patient's key costs one cell and no blob, and to
    destroy it destroys the blob.
    """

    __tablename__ = "attachment"
    __table_args__ = (
        sealed_by(),
        CheckConstraint("size >= 0", name="size"),
        ForeignKeyConstraint(["record_id", "patient_id"], ["record.id", "record.patient_id"]),
        Index("ix_attachment_record", "record_id", "id"),
    )
    resource: ClassVar[str] = "record_id"

    record_id: UUID
    name: Cell = phi(padded=True)
    media_type: Cell = phi(padded=True)
    digest: Cell = phi()
    secret: Cell = phi()
    size: int = Field(sa_type=BigInteger)
    created_by: UUID = Field(foreign_key="account.id")
    created_at: datetime = moment(default=True)
