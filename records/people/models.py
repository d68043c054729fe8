"""Patients with their identifiers and insurance (sealed), and doctors (public)."""

from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Computed, Index, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, ExcludeConstraint
from sqlalchemy.dialects.postgresql import UUID as PGUUID
from sqlmodel import Field, SQLModel

from core.crypto.envelope import Cell
from records.anchors import FOUND
from records.base import Protected, Row, Searchable, codes, moment, one_of, phi, sealed_by, word
from records.people.finding import SEARCHABLE


class Patient(Protected, table=True):
    """A person the clinic cares for. `patient_id` equals `id`: the row is its own patient.

    `replaced_by` is who it resolves to, when two files of one person were joined: never one who is replaced as well.
    `person_id` follows from it; visits refer to it, so that whoever joins two files joins their calendars.
    """

    __tablename__ = "patient"
    __table_args__ = (
        sealed_by(),
        CheckConstraint("patient_id = id", name="self"),
        CheckConstraint("version > 0", name="version"),
        CheckConstraint("replaced_by <> id", name="replaced"),
        UniqueConstraint("id", "person_id"),
    )
    searchable: ClassVar[tuple[Searchable, ...]] = SEARCHABLE

    name: Cell = phi()
    birth_date: Cell = phi()
    sex: Cell = phi(padded=True)
    phone: Cell | None = phi(nullable=True)
    email: Cell | None = phi(nullable=True)
    address: Cell | None = phi(nullable=True)
    other_names: Cell | None = phi(nullable=True)
    other_phones: Cell | None = phi(nullable=True)
    other_emails: Cell | None = phi(nullable=True)
    other_addresses: Cell | None = phi(nullable=True)
    emergency_contacts: Cell | None = phi(nullable=True)
    language: Cell | None = phi(nullable=True, padded=True)
    deceased: Cell | None = phi(nullable=True, padded=True)
    preferred_doctor_id: UUID | None = Field(default=None, foreign_key="doctor.id")
    replaced_by: UUID | None = Field(default=None, foreign_key="patient.id", index=True)
    person_id: UUID | None = Field(
        default=None,
        sa_column=Column(
            Uuid, Computed("coalesce(replaced_by, id)", persisted=True), nullable=False, info=FOUND
        ),
    )
    active: bool = True
    version: int = 1
    created_at: datetime = moment(default=True)
    updated_at: datetime = moment(default=True)


class PatientVersion(Protected, table=True):
    """What the clinic held to be true of a patient from one write to the next. Never updated."""

    __tablename__ = "patient_version"
    __table_args__ = (
        sealed_by(),
        UniqueConstraint("patient_id", "number"),
        CheckConstraint("number > 0", name="number"),
    )
    resource: ClassVar[str] = "patient_id"

    patient_id: UUID = Field(foreign_key="patient.id")
    number: int = 1
    content: Cell = phi()
    author_id: UUID = Field(foreign_key="account.id")
    written_at: datetime = moment(default=True)


class PatientToken(SQLModel, table=True):
    """A patient's token in a blind index: it finds the patient, and says nothing without the index key."""

    __tablename__ = "patient_token"
    __table_args__ = (CheckConstraint("octet_length(token) BETWEEN 1 AND 16", name="token"),)

    index: str = word(primary_key=True, max_length=40)
    key_version: int = Field(primary_key=True, foreign_key="index_key.version")
    token: bytes = Field(primary_key=True)
    patient_id: UUID = Field(primary_key=True, foreign_key="patient.id", index=True)


class PatientMerge(Row, table=True):
    """Two files of one person, joined by somebody, and perhaps parted again; `accounts` went along."""

    __tablename__ = "patient_merge"
    __table_args__ = (
        CheckConstraint("from_id <> into_id", name="two"),
        Index(
            "uq_patient_merge_open",
            "from_id",
            unique=True,
            postgresql_where=text("undone_at IS NULL"),
        ),
    )

    from_id: UUID = Field(foreign_key="patient.id")
    into_id: UUID = Field(foreign_key="patient.id", index=True)
    accounts: list[UUID] = Field(
        default_factory=list, sa_type=ARRAY(PGUUID(as_uuid=True)), nullable=False
    )
    merged_by: UUID = Field(foreign_key="account.id")
    merged_at: datetime = moment(default=True)
    undone_by: UUID | None = Field(default=None, foreign_key="account.id")
    undone_at: datetime | None = moment(nullable=True)


class DistinctPatients(SQLModel, table=True):
    """Two patients who look alike, and are two people: somebody has said so."""

    __tablename__ = "distinct_patients"
    __table_args__ = (CheckConstraint("patient_id < other_id", name="order"),)

    patient_id: UUID = Field(foreign_key="patient.id", primary_key=True)
    other_id: UUID = Field(foreign_key="patient.id", primary_key=True, index=True)
    decided_by: UUID = Field(foreign_key="account.id")
    decided_at: datetime = moment(default=True)


class Identifier(Protected, table=True):
    """A number that names a patient in some system (MRN, SSN, passport …), found by blind index."""

    __tablename__ = "identifier"
    __table_args__ = (
        sealed_by(),
        Index(
            "uq_identifier_active", "system", "token", unique=True, postgresql_where=text("active")
        ),
        CheckConstraint("octet_length(token) = 16", name="token"),
        CheckConstraint("valid_until >= valid_from", name="period"),
    )
    resource: ClassVar[str] = "patient_id"

    patient_id: UUID = Field(foreign_key="patient.id", index=True)
    type: str = word(max_length=40)
    system: str = word(max_length=200)
    use: str | None = word(None, max_length=20)
    value: Cell = phi(padded=True)
    token: bytes
    key_version: int = Field(default=1, foreign_key="index_key.version", index=True)
    valid_from: date | None = None
    valid_until: date | None = None
    active: bool = True
    created_at: datetime = moment(default=True)


class CoverageStatus(StrEnum):
    """FHIR's financial resource status codes."""

    ACTIVE = "active"
    CANCELLED = "cancelled"
    DRAFT = "draft"
    ENTERED_IN_ERROR = "entered-in-error"


class Eligibility(StrEnum):
    """What the payor said when asked whether it pays."""

    ELIGIBLE = "eligible"
    INELIGIBLE = "ineligible"
    UNCLEAR = "unclear"


class Coverage(Protected, table=True):
    """One insurance of a patient (FHIR R4 Coverage). `position` 1 is the primary one; no two have one place on one day."""

    __tablename__ = "coverage"
    __table_args__ = (
        sealed_by(),
        CheckConstraint("position > 0", name="position"),
        CheckConstraint("valid_until >= valid_from", name="period"),
        one_of("status", CoverageStatus),
        one_of("eligibility", Eligibility),
        ExcludeConstraint(
            (text("patient_id"), "="),
            (text("position"), "="),
            (text("daterange(valid_from, valid_until, '[]')"), "&&"),
            name="coverage_order",
            where=text("status = 'active'"),
        ),
    )

    patient_id: UUID = Field(foreign_key="patient.id", index=True)
    status: CoverageStatus = word(CoverageStatus.ACTIVE)
    position: int = 1
    payor: Cell = phi(padded=True)
    plan: Cell | None = phi(nullable=True, padded=True)
    member_id: Cell | None = phi(nullable=True, padded=True)
    group_number: Cell | None = phi(nullable=True, padded=True)
    relationship: str = word("self")
    valid_from: date | None = None
    valid_until: date | None = None
    eligibility: Eligibility | None = word(None)
    eligibility_checked_at: datetime | None = moment(nullable=True)
    source: str | None = word(None, max_length=200)
    version: int = 1
    created_at: datetime = moment(default=True)


class Doctor(Row, table=True):
    """A doctor's public profile: nothing here is PHI."""

    __tablename__ = "doctor"
    __table_args__ = (
        UniqueConstraint("npi"),
        CheckConstraint("npi ~ '^[0-9]{10}$'", name="npi"),
        CheckConstraint("length(family) > 0", name="family"),
    )

    family: str = word(max_length=100)
    given: str = word(max_length=100)
    prefix: str | None = word(None, max_length=20)
    npi: str | None = word(None)
    licence: str | None = word(None, max_length=60)
    department: str | None = word(None, max_length=100)
    languages: list[str] = codes()
    bio: str | None = word(None, max_length=4000)
    active: bool = True
    source: str | None = word(None, max_length=200, unique=True)
    version: int = 1
    created_at: datetime = moment(default=True)


class DoctorSpecialty(SQLModel, table=True):
    """A specialty of a doctor: a NUCC taxonomy code, or a free one with its own system."""

    __tablename__ = "doctor_specialty"

    doctor_id: UUID = Field(foreign_key="doctor.id", primary_key=True)
    code: str = word(primary_key=True, max_length=40)
    system: str = word("http://nucc.org/provider-taxonomy", max_length=200)
    display: str = word("", max_length=200)
