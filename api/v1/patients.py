"""Patients: registered, read, listed, found by an identifier."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.deps import Clinic, Me, Transaction
from api.json import Json
from api.paging import Listing, Page, cursor
from core.clock import now
from records.people.reading import (
    OpenPatient,
    list_patients,
    read_coverages,
    read_patient,
    search_by_identifier,
)
from records.people.registration import IdentifierDetails, PatientDetails, register

router = APIRouter(tags=["patients"])

Word = Annotated[str, Field(min_length=1, max_length=200)]


class Sex(StrEnum):
    """FHIR AdministrativeGender."""

    MALE = "male"
    FEMALE = "female"
    OTHER = "other"
    UNKNOWN = "unknown"


class Strict(BaseModel):
    """A request body: what it does not name is refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class HumanName(Strict):
    """A name. `given` is one name, or several in order."""

    family: Word
    given: Word | list[Word]
    prefix: Word | None = None


class Address(Strict):
    """A postal address."""

    line: list[Word] = Field(default_factory=list, max_length=5)
    city: Word | None = None
    state: Word | None = None
    postal_code: Word | None = None
    country: Word | None = None


class IdentifierIn(Strict):
    """A number that names the patient in a system."""

    system: Word = Field(examples=["http://hospital.example.org/mrn"])
    value: Word
    type: str = Field("MR", pattern=r"^[A-Z]{1,8}$", description="HL7 v2-0203 code")


class EmergencyContact(Strict):
    """Whom to call."""

    name: Word
    phone: Word | None = None
    relationship: Word | None = None


def _born(day: date) -> date:
    if not date(1850, 1, 1) <= day <= now().date():
        raise ValueError("a birth date lies between 1850 and today")
    return day


class NewPatient(Strict):
    """A patient to register."""

    name: HumanName
    birth_date: Annotated[date, AfterValidator(_born)]
    sex: Sex
    phone: Word | None = None
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)] | None = None
    address: Address | None = None
    identifiers: list[IdentifierIn] = Field(default_factory=list, max_length=20)
    emergency_contacts: list[EmergencyContact] = Field(default_factory=list, max_length=10)


class IdentifierQuery(Strict):
    """An identifier to search for, in one system or in any."""

    value: Word
    system: Word | None = None


class Search(Strict):
    """What to search by. It stands in the body, which keeps PHI out of URLs and logs."""

    identifier: Word | IdentifierQuery


class PatientView(BaseModel):
    """A patient, opened for its reader."""

    id: UUID
    version: int
    active: bool
    created_at: datetime
    name: dict[str, Any]
    birth_date: date
    sex: Sex
    phone: str | None = None
    email: str | None = None
    address: dict[str, Any] | None = None
    emergency_contacts: list[dict[str, Any]] | None = None
    identifiers: list[dict[str, Any]] | None = Field(None, description="when one patient is read")


class CoverageView(BaseModel):
    """An insurance of a patient; `position` 1 is the primary one."""

    id: UUID
    status: str
    position: int
    payor: str
    plan: str | None = None
    member_id: str | None = None
    group_number: str | None = None
    relationship: str
    valid_from: date | None = None
    valid_until: date | None = None


@router.post(
    "/patients", operation_id="register_patient", status_code=201, response_model=PatientView
)
async def post_patient(new: NewPatient, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Register a patient. Their key is made first; every word is sealed under it."""
    given = new.model_dump(exclude={"identifiers"}, exclude_none=True)
    details = PatientDetails(**given)
    identifiers = [IdentifierDetails(i.type, i.system, i.value) for i in new.identifiers]
    chart = await register(session, clinic, me, details, identifiers)
    head = {"id": chart.patient_id, "version": 1, "active": True, "created_at": now()}
    body = {**head, **given, "identifiers": [i.model_dump() for i in new.identifiers]}
    headers = {"Location": f"/v1/patients/{chart.patient_id}", "ETag": 'W/"1"'}
    return Json(body, 201, headers)


@router.get("/patients", operation_id="list_patients", response_model=Listing[PatientView])
async def get_patients(clinic: Clinic, me: Me, page: Page) -> Response:
    """List the patients the caller may see, newest first."""
    found, last = await list_patients(clinic, me, limit=page.limit, after=page.after)
    return Json({"items": [_view(p) for p in found], "next_cursor": cursor(last)})


@router.post(
    "/patients/search", operation_id="search_patients", response_model=Listing[PatientView]
)
async def search_patients(search: Search, clinic: Clinic, me: Me) -> Response:
    """Find patients by an identifier, among those the caller may see."""
    wanted = search.identifier
    value, system = (wanted, None) if isinstance(wanted, str) else (wanted.value, wanted.system)
    found = await search_by_identifier(clinic, me, value, system)
    return Json({"items": [_view(p) for p in found], "next_cursor": None})


@router.get("/patients/{patient_id}", operation_id="read_patient", response_model=PatientView)
async def get_patient(patient_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one patient."""
    patient = await read_patient(clinic, me, patient_id)
    view = {**_view(patient), "identifiers": patient.identifiers}
    return Json(view, headers={"ETag": f'W/"{patient.version}"'})


@router.get(
    "/patients/{patient_id}/coverages",
    operation_id="list_coverages",
    response_model=Listing[CoverageView],
)
async def get_coverages(patient_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List a patient's insurances, primary first."""
    found = await read_coverages(clinic, me, patient_id)
    items = [{name: c[name] for name in CoverageView.model_fields} for c in found]
    return Json({"items": items, "next_cursor": None})


def _view(patient: OpenPatient) -> dict[str, Any]:
    head = {"id": patient.id, "version": patient.version, "active": patient.active}
    return {**head, "created_at": patient.created_at, **patient.phi}
