"""Keys: their versions, their rotation, and a patient's erasure. Never a key itself."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, Field

from api.bodies import Strict, shown
from api.deps import STEP_UP, Clinic, Me, Transaction
from api.json import Json
from api.once import once
from api.paging import Listing, Page, unpaged
from records.custody.models import KeyPurpose, RotationKind, RotationState
from records.custody.rotation import list_rotations, read_rotation, request_rotation
from records.custody.versions import list_versions

router = APIRouter(prefix="/keys", tags=["keys"])


class KeyVersionView(BaseModel):
    """One version of a key-encryption key."""

    purpose: KeyPurpose
    version: int = Field(ge=1)
    current: bool = Field(description="whether it wraps what is new")
    wraps: int = Field(description="keys it wraps now; at 0 it may be destroyed")


class NewRotation(Strict):
    """A rotation to start."""

    kind: RotationKind = Field(
        RotationKind.KEK,
        description="`kek`: a new key-encryption key; `dek`: new data keys, and every cell sealed anew; "
        "`index`: a new key of the blind indexes, and every search token made anew",
    )
    purpose: KeyPurpose = Field(KeyPurpose.RECORD, description="which key-encryption key")
    patient_id: Annotated[
        UUID | None, Field(description="one patient's data key alone, for `dek`")
    ] = None


class RotationView(BaseModel):
    """A rotation and how far it has got."""

    id: UUID
    kind: RotationKind
    purpose: KeyPurpose
    patient_id: UUID | None
    state: RotationState
    total: int = Field(description="keys it is about, counted at the start")
    done: int
    failed: int = Field(description="rows that did not open and were left as they are")
    requested_by: UUID
    created_at: AwareDatetime
    finished_at: AwareDatetime | None


@router.get("", operation_id="list_key_versions", response_model=Listing[KeyVersionView])
async def get_keys(session: Transaction, clinic: Clinic, me: Me) -> Response:
    """List the versions of every key-encryption key, and what each still wraps."""
    return unpaged(await list_versions(session, clinic, me))


@router.get("/rotations", operation_id="list_key_rotations", response_model=Listing[RotationView])
async def get_rotations(clinic: Clinic, me: Me, page: Page) -> Response:
    """List the rotations, the latest first."""
    items, last = await list_rotations(clinic, me, limit=page.limit, after=page.after)
    return page.listed([shown(RotationView, row) for row in items], last)


@router.get(
    "/rotations/{rotation_id}", operation_id="read_key_rotation", response_model=RotationView
)
async def get_rotation(rotation_id: UUID, clinic: Clinic, me: Me) -> Response:
    """Read one rotation and its progress."""
    return Json(shown(RotationView, await read_rotation(clinic, me, rotation_id)))


@router.post(
    "/rotations",
    operation_id="rotate_keys",
    dependencies=[STEP_UP],
    status_code=202,
    response_model=RotationView,
)
@once(get_rotation, status=202)
async def post_rotation(new: NewRotation, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Start a rotation. It goes on in the background, while everything stays readable and writable."""
    row = await request_rotation(session, clinic, me, new.kind, new.purpose, new.patient_id)
    return Json(
        shown(RotationView, row.model_dump()), 202, {"Location": f"/v1/keys/rotations/{row.id}"}
    )
