"""Doctors: public profiles, for everybody who is logged in."""

from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from api.bodies import Strict, Trimmed
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, etag
from api.json import Json
from api.once import once
from api.paging import Listing, Page
from api.patches import LEFT_OUT, Patch
from api.texts import Line
from core.ids import new_id
from records.people.checking import is_npi
from records.people.doctors import Search, add_doctor, list_doctors, read_doctor
from records.people.models import Doctor, DoctorSpecialty
from records.scheduling.practice import Change, change_doctor, practise

router = APIRouter(tags=["doctors"])

NUCC = "http://nucc.org/provider-taxonomy"


class Specialty(Strict):
    """A specialty: a NUCC taxonomy code, or a code of another system."""

    code: str = Field(min_length=1, max_length=40, examples=["207Q00000X"])
    system: str = Field(NUCC, max_length=200)
    display: str = Field("", max_length=200, examples=["Family Medicine"])


def _coded(given: Any) -> Any:
    return {"code": given} if isinstance(given, str) else given


def _checked(npi: str) -> str:
    if not is_npi(npi):
        raise PydanticCustomError("check_digit", "the check digit is wrong")
    return npi


Npi = Annotated[str, Field(pattern=r"^[0-9]{10}$"), AfterValidator(_checked)]


def _lower(code: str) -> str:
    return code.lower()


def _once(codes: list[str]) -> list[str]:
    return list(dict.fromkeys(codes))


def _different(given: list[Specialty]) -> list[Specialty]:
    if len({specialty.code for specialty in given}) < len(given):
        raise PydanticCustomError("twice", "a specialty is named twice")
    return given


Language = Annotated[
    str,
    Field(max_length=35, pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", description="BCP 47"),
    AfterValidator(_lower),
]
Languages = Annotated[list[Language], Field(max_length=20), AfterValidator(_once)]
Specialties = Annotated[
    list[Annotated[Specialty, BeforeValidator(_coded)]],
    Field(max_length=20),
    AfterValidator(_different),
]


class DoctorName(Trimmed):
    """A doctor's name in one piece."""

    family: Line = Field(LEFT_OUT, min_length=1, max_length=100)
    given: Line = Field(LEFT_OUT, min_length=1, max_length=100)
    prefix: Line | None = Field(None, max_length=20)


class NewDoctor(Trimmed):
    """A doctor to add: with a name in one piece, as patients have it, or in its parts. A specialty may be a bare code."""

    name: DoctorName | None = None
    family: Line = Field(LEFT_OUT, min_length=1, max_length=100)
    given: Line = Field(LEFT_OUT, min_length=1, max_length=100)
    prefix: Line | None = Field(None, max_length=20)
    npi: Npi | None = Field(
        None, description="National Provider Identifier, with a right check digit"
    )
    licence: Line | None = Field(None, max_length=60)
    department: Line | None = Field(
        None, min_length=1, max_length=100, examples=["cardiology"], description="for rules"
    )
    languages: Languages = Field(default_factory=list, examples=[["en", "es"]])
    bio: str | None = Field(None, max_length=4000)
    specialties: Specialties = Field(default_factory=list)
    location_ids: list[UUID] = Field(
        default_factory=list, max_length=50, description="where they practise"
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        _in_parts(self)
        if not self.family or not self.given:
            raise PydanticCustomError("name_missing", "a doctor has a family and a given name")
        return self


def _in_parts(doctor: "NewDoctor") -> None:
    for part, value in (doctor.name.model_dump(exclude_unset=True) if doctor.name else {}).items():
        setattr(doctor, part, value)


class DoctorView(BaseModel):
    """A doctor's profile."""

    id: UUID
    name: DoctorName
    family: str
    given: str
    prefix: str | None
    npi: str | None
    licence: str | None
    department: str | None
    languages: list[str]
    bio: str | None
    specialties: list[Specialty]
    location_ids: list[UUID]
    active: bool
    version: int


class DoctorPatch(Patch, NewDoctor):
    """What is to change of a doctor; lists are replaced as a whole."""

    active: bool = LEFT_OUT

    @model_validator(mode="after")
    def _named(self) -> Self:
        _in_parts(self)
        return self


@router.get("/doctors", operation_id="list_doctors", response_model=Listing[DoctorView])
async def get_doctors(
    clinic: Clinic,
    me: Me,
    page: Page,
    specialty: Annotated[str | None, Query(max_length=200, description="code or display")] = None,
    location: Annotated[UUID | None, Query(description="a room, or a site with its rooms")] = None,
    language: Annotated[str | None, Query(max_length=35, examples=["es"])] = None,
    name: Annotated[str | None, Query(max_length=100, description="parts of the name")] = None,
    npi: Annotated[str | None, Query(pattern="^[0-9]{10}$", description="this very one")] = None,
) -> Response:
    """List the doctors who practise here."""
    search = Search(specialty, location, language, name, npi)
    found, last = await list_doctors(clinic, me, search, limit=page.limit, after=page.after)
    return page.listed([_view(d) for d in found], last)


@router.get("/doctors/{doctor_id}", operation_id="read_doctor", response_model=DoctorView)
async def get_doctor(doctor_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one doctor's profile."""
    doctor = await read_doctor(clinic, me, doctor_id)
    return Json(_view(doctor), headers={"ETag": etag(doctor["version"])})


@router.post("/doctors", operation_id="add_doctor", status_code=201, response_model=DoctorView)
@once(get_doctor)
async def post_doctor(new: NewDoctor, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Add a doctor."""
    doctor = Doctor(id=new_id(), **new.model_dump(exclude=_LISTS))
    await add_doctor(session, clinic, me, doctor, _specialties(doctor.id, new.specialties))
    await practise(session, doctor.id, new.location_ids)
    body = {"id": doctor.id, "active": True, "version": 1, **new.model_dump()}
    return Json(_view(body), 201, {"Location": f"/v1/doctors/{doctor.id}", "ETag": etag(1)})


@router.patch("/doctors/{doctor_id}", operation_id="change_doctor", response_model=DoctorView)
async def patch_doctor(
    doctor_id: UUID,
    patch: DoctorPatch,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
    move_to_worklist: Annotated[
        bool,
        Query(description="let a doctor stop though visits lie ahead; GET /v1/worklist has them"),
    ] = False,
) -> Response:
    """Change a doctor's profile. One with visits ahead stops only if these may go to the work list."""
    sent = patch.changes()
    change = Change(
        {name: value for name, value in sent.items() if name not in _LISTS},
        _specialties(doctor_id, patch.specialties) if "specialties" in sent else None,
        sent.get("location_ids"),
        move_to_worklist,
    )
    changed = await change_doctor(session, clinic, me, doctor_id, seen, change)
    return Json(_view(changed), headers={"ETag": etag(changed["version"])})


_LISTS = {"name", "specialties", "location_ids"}


def _specialties(doctor_id: UUID, given: list[Specialty]) -> list[DoctorSpecialty]:
    return [DoctorSpecialty(doctor_id=doctor_id, **s.model_dump()) for s in given]


def _view(doctor: Any) -> dict[str, Any]:
    name = {part: doctor[part] for part in DoctorName.model_fields}
    return {field: name if field == "name" else doctor[field] for field in DoctorView.model_fields}
