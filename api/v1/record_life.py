"""The legal life of a medical record: edited, signed, countersigned, amended, added to, retracted; and its versions."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Path, Response
from pydantic import Field

from api.bodies import Strict
from api.deps import Clinic, Me, Transaction
from api.etags import MustHaveSeen, Seen
from api.once import once
from api.paging import Listing, unpaged
from api.v1.records import Categories, Content, RecordView, Title, answer
from policies.vocabulary import Sensitivity
from records.clinical import life
from records.clinical.addenda import addend, list_addenda
from records.clinical.models import RecordAct, RecordStatus
from records.clinical.versions import list_versions, read_version

router = APIRouter(tags=["records"])

Reason = Annotated[str, Field(min_length=1, max_length=1000, examples=["wrong side"])]


class Saying(Strict):
    """What a record shall say, as a merge patch (RFC 7396): what is left out stays."""

    title: Title = Field(default_factory=str)
    content: Content = Field(default_factory=dict)
    sensitivity: Sensitivity = Sensitivity.NORMAL
    categories: Categories = Field(default_factory=list)


class RecordPatch(Saying):
    """A merge patch (RFC 7396) of a record that is not signed yet."""

    status: Literal[RecordStatus.PRELIMINARY] = RecordStatus.PRELIMINARY


class Signing(Strict):
    """How to sign. The signer is the caller, always."""

    lock: bool = Field(False, description="close the record to every later act, addenda as well")


class Amendment(Saying):
    """What a signed record shall say from now on, as a merge patch, and why."""

    reason: Reason
    correction: bool = Field(False, description="the status becomes `corrected`, not `amended`")


class Addendum(Strict):
    """What is added to a signed record."""

    title: Title = "Addendum"
    content: Content


class Retraction(Strict):
    """Why a record should not be there."""

    reason: Reason


@router.patch("/records/{record_id}", operation_id="edit_record", response_model=RecordView)
async def patch_record(
    record_id: UUID,
    patch: RecordPatch,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    seen: MustHaveSeen,
) -> Response:
    """Edit a record that is not signed yet. What is signed is never changed."""
    given = patch.model_dump(exclude_unset=True)
    return answer(await life.edit(session, clinic, me, record_id, given, seen))


@router.post("/records/{record_id}/sign", operation_id="sign_record", response_model=RecordView)
async def post_signature(
    record_id: UUID,
    seen: Seen,
    session: Transaction,
    clinic: Clinic,
    me: Me,
    how: Annotated[Signing, Body(default_factory=Signing)],
) -> Response:
    """Sign a record: it becomes final. The signature is a digest over its canonical JSON, signer and time."""
    return answer(await life.sign(session, clinic, me, record_id, seen, lock=how.lock))


@router.post("/records/{record_id}/cosign", operation_id="cosign_record", response_model=RecordView)
async def post_cosignature(
    record_id: UUID, seen: Seen, session: Transaction, clinic: Clinic, me: Me
) -> Response:
    """Countersign what another has signed."""
    return answer(await life.cosign(session, clinic, me, record_id, seen))


@router.post("/records/{record_id}/amend", operation_id="amend_record", response_model=RecordView)
async def post_amendment(
    record_id: UUID,
    amendment: Amendment,
    seen: Seen,
    session: Transaction,
    clinic: Clinic,
    me: Me,
) -> Response:
    """Say anew what a signed record says. What was signed stays, as a version."""
    given = amendment.model_dump(exclude_unset=True, exclude={"correction"})
    act = RecordAct.CORRECT if amendment.correction else RecordAct.AMEND
    return answer(await life.amend(session, clinic, me, record_id, given, seen, act=act))


@router.post(
    "/records/{record_id}/enter-in-error", operation_id="retract_record", response_model=RecordView
)
async def post_retraction(
    record_id: UUID,
    why: Retraction,
    seen: Seen,
    session: Transaction,
    clinic: Clinic,
    me: Me,
) -> Response:
    """Declare that a record was entered in error. Nothing is erased."""
    return answer(await life.retract(session, clinic, me, record_id, why.reason, seen))


@router.get(
    "/records/{record_id}/addenda",
    operation_id="list_addenda",
    response_model=Listing[RecordView],
)
async def get_addenda(record_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List what was added to a record, oldest first."""
    return unpaged(await list_addenda(clinic, me, record_id))


@router.post(
    "/records/{record_id}/addenda",
    operation_id="add_addendum",
    status_code=201,
    response_model=RecordView,
)
@once(get_addenda, at="/v1/records")
async def post_addendum(
    record_id: UUID,
    added: Addendum,
    seen: Seen,
    session: Transaction,
    clinic: Clinic,
    me: Me,
) -> Response:
    """Add to a signed record: a note of its own, signed as it is written."""
    note = await addend(session, clinic, me, record_id, added.title, added.content, seen)
    return answer(note, 201)


@router.get(
    "/records/{record_id}/versions",
    operation_id="list_record_versions",
    response_model=Listing[RecordView],
)
async def get_versions(record_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List the versions of a record, newest first: who wrote each, when, how and why."""
    return unpaged(await list_versions(clinic, me, record_id))


@router.get(
    "/records/{record_id}/versions/{number}",
    operation_id="read_record_version",
    response_model=RecordView,
)
async def get_version(
    record_id: UUID,
    number: Annotated[int, Path(ge=1, le=10**9)],
    clinic: Clinic,
    me: Me,
) -> Response:
    """Read a record as it was. It takes the same right, and leaves the same event, as reading it now."""
    return answer(await read_version(clinic, me, record_id, number))
