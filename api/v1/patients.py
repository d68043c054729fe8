"""Patients: registered, read, listed, found, amended."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from api.bodies import Trimmed
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, Page, unpaged
from api.patches import Change, patch_of, revised
from api.texts import Word
from api.times import Day
from api.v1.demographics import NewPatient, PatientState, PatientView, view
from records.people.amending import Revised, amend
from records.people.history import list_versions, read_version
from records.people.reading import as_kept, list_patients, read_patient
from records.people.registration import register
from records.people.searching import Wanted, search_patients

router = APIRouter(tags=["patients"])


class IdentifierQuery(Trimmed):
    """An identifier to search for, in one system or in any."""

    value: Word
    system: Word | None = None


class Search(Trimmed):
    """What to search by: everything given must fit. It stands in the body, which keeps PHI out of URLs and logs."""

    identifier: Word | IdentifierQuery | None = None
    family: Word | None = None
    given: Word | None = Field(None, description="the first of the given names, or more in order")
    birth_date: Day | None = None
    phone: Word | None = None
    email: Word | None = None
    sounds_like: bool = Field(
        False, description="the family name by its sound, the birth date by its year"
    )

    def wanted(self) -> Wanted:
        """Return the search as the domain takes it."""
        given = self.model_dump(exclude={"identifier"})
        if isinstance(self.identifier, IdentifierQuery):
            return Wanted(self.identifier.value, self.identifier.system, **given)
        return Wanted(self.identifier, **given)


Number = Annotated[int, Path(ge=1, le=1_000_000)]


class PatientVersionHead(BaseModel):
    """Who wrote a version, and when."""

    number: int
    author_id: UUID = Field(description="the account")
    written_at: datetime


class PatientVersionView(PatientVersionHead):
    """A version with what it says."""

    patient: dict[str, Any]


@router.get("/patients", operation_id="list_patients", response_model=Listing[PatientView])
async def get_patients(clinic: Clinic, me: Me, page: Page) -> Response:
    """List the patients the caller may see, newest first."""
    found, last = await list_patients(clinic, me, limit=page.limit, after=page.after)
    return page.listed([view(p) for p in found], last)


@router.post(
    "/patients/search", operation_id="search_patients", response_model=Listing[PatientView]
)
async def post_search(search: Search, clinic: Clinic, me: Me, page: Page) -> Response:
    """Find patients by exact values, however they are spelt, among those the caller may see.

    A page may be short and yet have a next one. Thirty searches a minute are everybody's share.
    """
    found, last = await search_patients(
        clinic, me, search.wanted(), limit=page.limit, after=page.after
    )
    return page.listed([view(p) for p in found], last)


@router.get("/patients/{patient_id}", operation_id="read_patient", response_model=PatientView)
async def get_patient(patient_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one patient."""
    patient = await read_patient(clinic, me, patient_id)
    return Json(view(patient, whole=True), headers={"ETag": etag(patient.version)})


@router.post(
    "/patients", operation_id="register_patient", status_code=201, response_model=PatientView
)
@once(get_patient)
async def post_patient(new: NewPatient, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Register a patient. Their key is made first; every word is sealed under it."""
    details, identifiers = new.details()
    chart = await register(session, clinic, me, details, identifiers)
    patient = as_kept(chart, details, identifiers)
    headers = {"Location": f"/v1/patients/{patient.id}", "ETag": etag(patient.version)}
    return Json(view(patient, whole=True), 201, headers)


@router.patch(
    "/patients/{patient_id}",
    operation_id="amend_patient",
    response_model=PatientView,
    openapi_extra=patch_of(PatientState, "PatientPatch"),
)
async def patch_patient(
    patient_id: UUID,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
    change: Change,
) -> Response:
    """Amend a patient by a merge patch. What was true before is kept, sealed, with who changed it and when."""

    def revise(stored: Mapping[str, Any]) -> Revised:
        return revised(PatientState, stored, change).details()

    patient = await amend(session, clinic, me, patient_id, seen, revise)
    return Json(view(patient, whole=True), headers={"ETag": etag(patient.version)})


@router.get(
    "/patients/{patient_id}/versions",
    operation_id="list_patient_versions",
    response_model=Listing[PatientVersionHead],
)
async def get_versions(patient_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List who changed a patient when, newest first."""
    return unpaged(await list_versions(clinic, me, patient_id))


@router.get(
    "/patients/{patient_id}/versions/{number}",
    operation_id="read_patient_version",
    response_model=PatientVersionView,
)
async def get_version(patient_id: UUID, number: Number, clinic: Clinic, me: Me) -> Response:
    """Read a patient as they were in one version. It is decided and noted like the present one."""
    return Json(await read_version(clinic, me, patient_id, number))
