"""Doctors: public profiles, for everybody who is logged in."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.deps import Clinic, Me, Transaction
from api.json import Json
from api.paging import Listing, Page, cursor
from core.ids import new_id
from records.people.doctors import add_doctor, list_doctors, read_doctor
from records.people.models import Doctor, DoctorSpecialty

router = APIRouter(tags=["doctors"])

NUCC = "http://nucc.org/provider-taxonomy"


class Specialty(BaseModel):
    """A specialty: a NUCC taxonomy code, or a code of another system."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(min_length=1, max_length=40, examples=["207Q00000X"])
    system: str = Field(NUCC, max_length=200)
    display: str = Field("", max_length=200, examples=["Family Medicine"])


class NewDoctor(BaseModel):
    """A doctor to add."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    family: str = Field(min_length=1, max_length=100)
    given: str = Field(min_length=1, max_length=100)
    prefix: str | None = Field(None, max_length=20)
    npi: str | None = Field(
        None, pattern=r"^[0-9]{10}$", description="National Provider Identifier"
    )
    licence: str | None = Field(None, max_length=60)
    languages: list[str] = Field(default_factory=list, max_length=20, examples=[["en", "es"]])
    bio: str | None = Field(None, max_length=4000)
    specialties: list[Specialty] = Field(default_factory=list, max_length=20)


class DoctorView(NewDoctor):
    """A doctor's profile."""

    id: UUID
    active: bool
    version: int


@router.post("/doctors", operation_id="add_doctor", status_code=201, response_model=DoctorView)
async def post_doctor(new: NewDoctor, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Add a doctor."""
    given = new.model_dump(exclude={"specialties"})
    doctor = Doctor(id=new_id(), **given)
    specialties = [DoctorSpecialty(doctor_id=doctor.id, **s.model_dump()) for s in new.specialties]
    await add_doctor(session, clinic, me, doctor, specialties)
    body = {"id": doctor.id, "active": True, "version": 1, **new.model_dump()}
    return Json(body, 201, {"Location": f"/v1/doctors/{doctor.id}", "ETag": 'W/"1"'})


@router.get("/doctors", operation_id="list_doctors", response_model=Listing[DoctorView])
async def get_doctors(
    clinic: Clinic,
    me: Me,
    page: Page,
    specialty: Annotated[str | None, Query(max_length=200, description="code or display")] = None,
) -> Response:
    """List the doctors who practise here."""
    found, last = await list_doctors(
        clinic, me, limit=page.limit, after=page.after, specialty=specialty
    )
    return Json({"items": [_view(d) for d in found], "next_cursor": cursor(last)})


@router.get("/doctors/{doctor_id}", operation_id="read_doctor", response_model=DoctorView)
async def get_doctor(doctor_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one doctor's profile."""
    doctor = await read_doctor(clinic, me, doctor_id)
    return Json(_view(doctor), headers={"ETag": f'W/"{doctor["version"]}"'})


def _view(doctor: Any) -> dict[str, Any]:
    return {name: doctor[name] for name in DoctorView.model_fields}
