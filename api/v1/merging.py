"""One person registered twice: who may be the same, who certainly is not, joining two files and parting them again."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, Field

from api.bodies import Strict, shown
from api.deps import Clinic, Me, Transaction
from api.json import Json
from api.paging import Listing, unpaged
from api.v1.demographics import PatientView, view
from records.people.duplicates import Likeness, find_duplicates, set_distinct
from records.people.merging import list_merges, merge, unmerge

router = APIRouter(tags=["patients"])


class DuplicateView(BaseModel):
    """A patient who may be the same person."""

    likeness: Likeness
    evidence: list[str] = Field(
        description="what the two have in common", examples=[["sound", "birth_date", "phone"]]
    )
    patient: PatientView


class Distinction(Strict):
    """Another patient who is, or after all is not, another person."""

    patient_id: UUID
    distinct: bool = Field(True, description="false takes it back")


class Merge(Strict):
    """Which patient survives."""

    into: UUID


class MergeView(BaseModel):
    """Two files joined, and perhaps parted again."""

    id: UUID
    from_id: UUID = Field(description="resolves to `into_id` while they are joined")
    into_id: UUID
    merged_by: UUID = Field(description="the account")
    merged_at: AwareDatetime
    undone_by: UUID | None = None
    undone_at: datetime | None = None


@router.get(
    "/patients/{patient_id}/duplicates",
    operation_id="list_duplicates",
    response_model=Listing[DuplicateView],
)
async def get_duplicates(patient_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List who may be the same person, the likeliest first, for those who may join the files."""
    found = await find_duplicates(clinic, me, patient_id)
    items = [
        {"likeness": d.likeness, "evidence": d.evidence, "patient": view(d.patient)} for d in found
    ]
    return unpaged(items)


@router.post(
    "/patients/{patient_id}/distinct", operation_id="set_distinct", response_model=Distinction
)
async def post_distinct(
    patient_id: UUID, said: Distinction, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Remember that two patients are two people: they are no duplicates any more, and are not joined."""
    await set_distinct(session, clinic, me, patient_id, said.patient_id, yes=said.distinct)
    return Json(said.model_dump())


@router.post("/patients/{patient_id}/merge", operation_id="merge_patient", response_model=MergeView)
async def post_merge(
    patient_id: UUID, wanted: Merge, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Join a patient to another one, who survives. Both ids lead to the survivor, and both charts are read as one."""
    done = await merge(session, clinic, me, patient_id, wanted.into)
    return Json(shown(MergeView, done.model_dump()))


@router.post(
    "/patients/{patient_id}/unmerge", operation_id="unmerge_patient", response_model=MergeView
)
async def post_unmerge(patient_id: UUID, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Part a patient from the one they were joined to: each has their own chart again."""
    undone = await unmerge(session, clinic, me, patient_id)
    return Json(shown(MergeView, undone.model_dump()))


@router.get(
    "/patients/{patient_id}/merges", operation_id="list_merges", response_model=Listing[MergeView]
)
async def get_merges(patient_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List how a patient was joined to others, and parted."""
    found = await list_merges(clinic, me, patient_id)
    return unpaged([shown(MergeView, row) for row in found])
