"""What a patient is made of over HTTP: names, contacts, addresses, identifiers, and the view a reader gets."""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from api.bodies import Trimmed
from api.texts import Word
from api.times import Day
from records.people.checking import born
from records.people.details import IdentifierDetails, PatientDetails
from records.people.reading import OpenPatient


class Sex(StrEnum):
    """FHIR AdministrativeGender."""

    MALE = "male"
    FEMALE = "female"
    OTHER = "other"
    UNKNOWN = "unknown"


class Use(StrEnum):
    """What a name, number or address is used for (FHIR's words)."""

    USUAL = "usual"
    OFFICIAL = "official"
    HOME = "home"
    WORK = "work"
    MOBILE = "mobile"
    TEMP = "temp"
    NICKNAME = "nickname"
    MAIDEN = "maiden"
    SECONDARY = "secondary"
    OLD = "old"


class HumanName(Trimmed):
    """A name. `given` is one name, or several in order."""

    family: Word
    given: Word | list[Word]
    prefix: Word | None = None
    suffix: Word | None = None
    use: Use | None = None


class Address(Trimmed):
    """A postal address."""

    line: list[Word] = Field(default_factory=list, max_length=5)
    city: Word | None = None
    state: Word | None = None
    postal_code: Word | None = None
    country: Word | None = None
    use: Use | None = None


class ContactPoint(Trimmed):
    """A further telephone number or e-mail address."""

    value: Annotated[str, Field(min_length=1, max_length=254)]
    use: Use | None = None


class IdentifierIn(Trimmed):
    """A number that names the patient in a system. Check digits are checked where the system has them."""

    system: Word = Field(examples=["http://hospital.example.org/mrn"])
    value: Word
    type: str = Field("MR", pattern=r"^[A-Z]{1,8}$", description="HL7 v2-0203 code")
    use: Use | None = None
    valid_from: Day | None = None
    valid_until: Day | None = None

    def details(self) -> IdentifierDetails:
        """Return the identifier as the domain takes it."""
        return IdentifierDetails(**self.model_dump())


class EmergencyContact(Trimmed):
    """Whom to call."""

    name: Word
    phone: Word | None = None
    relationship: Word | None = None


def _born(day: date) -> date:
    if not born(day):
        raise PydanticCustomError("birth_date", "a birth date lies between 1850 and today")
    return day


class NewPatient(Trimmed):
    """A patient to register."""

    name: HumanName
    birth_date: Annotated[Day, AfterValidator(_born)]
    sex: Sex
    phone: Word | None = Field(
        None, description="read as the clinic's region dials, unless it begins with +"
    )
    email: Annotated[str, Field(max_length=254)] | None = None
    address: Address | None = None
    other_names: list[HumanName] = Field(default_factory=list, max_length=10)
    other_phones: list[ContactPoint] = Field(default_factory=list, max_length=10)
    other_emails: list[ContactPoint] = Field(default_factory=list, max_length=10)
    other_addresses: list[Address] = Field(default_factory=list, max_length=10)
    identifiers: list[IdentifierIn] = Field(default_factory=list, max_length=20)
    emergency_contacts: list[EmergencyContact] = Field(default_factory=list, max_length=10)
    language: str | None = Field(
        None,
        pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
        max_length=35,
        examples=["es-MX"],
        description="BCP 47",
    )
    deceased: bool | Day | None = Field(
        None, description="the date of death; true where it is not known"
    )
    preferred_doctor_id: UUID | None = None

    def details(self) -> tuple[PatientDetails, list[IdentifierDetails]]:
        """Return the patient and the identifiers as the domain takes them."""
        given = self.model_dump(exclude={"identifiers"}, exclude_none=True)
        given = {name: value for name, value in given.items() if value != []}
        return PatientDetails(**given), [i.details() for i in self.identifiers]


class PatientState(NewPatient):
    """A patient as they may be changed."""

    active: bool = True


class IdentifierView(BaseModel):
    """A number that names a patient."""

    system: str
    value: str
    type: str
    use: str | None = None
    valid_from: date | None = None
    valid_until: date | None = None


class PatientView(BaseModel):
    """A patient, opened for its reader."""

    id: UUID
    version: int
    active: bool
    created_at: datetime
    updated_at: datetime
    name: dict[str, Any]
    birth_date: date
    sex: Sex
    phone: str | None = None
    email: str | None = None
    address: dict[str, Any] | None = None
    other_names: list[dict[str, Any]] | None = None
    other_phones: list[ContactPoint] | None = None
    other_emails: list[ContactPoint] | None = None
    other_addresses: list[dict[str, Any]] | None = None
    emergency_contacts: list[dict[str, Any]] | None = None
    language: str | None = None
    deceased: bool | date | None = None
    preferred_doctor_id: UUID | None = None
    identifiers: list[IdentifierView] | None = Field(None, description="when one patient is read")


def view(patient: OpenPatient, *, whole: bool = False) -> dict[str, Any]:
    """Return a patient as the API shows them; `whole` is with the identifiers."""
    head = ("id", "version", "active", "created_at", "updated_at", "preferred_doctor_id")
    shown = {**{name: getattr(patient, name) for name in head}, **patient.phi}
    return {**shown, "identifiers": numbers(patient.identifiers)} if whole else shown


def numbers(identifiers: Sequence[IdentifierDetails]) -> list[dict[str, Any]]:
    """Return identifiers as the API shows them."""
    return [each.known() for each in identifiers]
