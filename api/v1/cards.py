"""Pictures of insurance cards."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from api.deps import Clinic, Me
from api.json import Json
from api.multipart import incoming
from api.paging import Listing, unpaged
from api.v1.attachments import BYTES, FORM, FileView, streamed
from core.blobs import Blobs
from records.clinical.cards import LIMIT, add_card, list_cards, open_card

router = APIRouter(prefix="/patients/{patient_id}/coverages/{coverage_id}/cards", tags=["patients"])


class CardView(FileView):
    """A picture of an insurance card."""

    coverage_id: UUID = Field(description="the insurance whose card it is")


@router.post(
    "", operation_id="add_card", status_code=201, response_model=CardView, openapi_extra=FORM
)
async def post_card(
    patient_id: UUID, coverage_id: UUID, request: Request, clinic: Clinic, me: Me
) -> Response:
    """Keep a picture, or a PDF, of an insurance's card: 20 MiB at most, sealed while it arrives."""
    chosen = request.app.state.settings
    name, pieces = await incoming(request, min(LIMIT, chosen.attachment_limit))
    blobs = Blobs(chosen.attachments)
    made = await add_card(clinic, me, blobs, patient_id, coverage_id, name, pieces)
    place = f"/v1/patients/{patient_id}/coverages/{coverage_id}/cards/{made.id}"
    return Json(made, 201, {"Location": place})


@router.get("", operation_id="list_cards", response_model=Listing[CardView])
async def get_cards(patient_id: UUID, coverage_id: UUID, clinic: Clinic, me: Me) -> Response:
    """List the pictures of an insurance's card, oldest first."""
    return unpaged(await list_cards(clinic, me, patient_id, coverage_id))


@router.get(
    "/{card_id}",
    operation_id="download_card",
    response_class=StreamingResponse,
    responses={200: BYTES},
)
async def get_card(
    patient_id: UUID, coverage_id: UUID, card_id: UUID, request: Request, clinic: Clinic, me: Me
) -> Response:
    """Download a picture of a card. Its event is on disk before the first byte leaves."""
    blobs = Blobs(request.app.state.settings.attachments)
    found, pieces = await open_card(clinic, me, blobs, patient_id, coverage_id, card_id)
    return streamed(found, pieces)
