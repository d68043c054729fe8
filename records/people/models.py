"""Patients with their identifiers and insurance (sealed), and doctors (public)."""

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from core.crypto.envelope import Cell
from records.base import Protected, Row, Searchable, codes, moment, phi, sealed_by, word
from records.people.finding import SEARCHABLE


class Patient(Protected, table=True):
    """A person the clinic cares for. `patient_id` equals `id`: the row is its own patient."""

    __tablename__ = "patient"
    __table_args__ = (
        sealed_by(),
        CheckConstraint("patient_id = id", name="self"),
        CheckConstraint("version > 0", name="version"),
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
    valid_from: date | None = None
    valid_until: date | None = None
    active: bool = True
    created_at: datetime = moment(default=True)


class Coverage(Protected, table=True):
    """One insurance of a patient (FHIR R4 Coverage). `position` 1 is the primary one."""

    __tablename__ = "coverage"
    __table_args__ = (
        sealed_by(),
        CheckConstraint("position > 0", name="position"),
        CheckConstraint("valid_until >= valid_from", name="period"),
        CheckConstraint(
            "status IN ('active', 'cancelled', 'draft', 'entered-in-error')", name="status"
        ),
    )
    resource: ClassVar[str] = "patient_id"

    patient_id: UUID = Field(foreign_key="patient.id", index=True)
    status: str = word("active")
    position: int = 1
    payor: Cell = phi(padded=True)
    plan: Cell | None = phi(nullable=True, padded=True)
    member_id: Cell | None = phi(nullable=True, padded=True)
    group_number: Cell | None = phi(nullable=True, padded=True)
    relationship: str = word("self")
    valid_from: date | None = None
    valid_until: date | None = None
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
