"""Patients each of whose accesses is looked at. For compliance."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api.bodies import Strict, shown
from api.deps import Clinic, Me, Transaction
from api.json import Json
from api.once import once
from api.paging import Listing, unpaged
from records.compliance import watching
from records.compliance.models import WatchReason

router = APIRouter(prefix="/audit/watched", tags=["audit"])


class NewWatch(Strict):
    """Whom to watch, and why."""

    patient_id: UUID
    reason: WatchReason


class WatchView(BaseModel):
    """A patient who is watched. Accesses since then are alerts of rule R4."""

    patient_id: UUID
    reason: WatchReason
    set_by: UUID
    since: datetime


@router.get("", operation_id="list_watched_patients", response_model=Listing[WatchView])
async def get_watched(clinic: Clinic, me: Me) -> Response:
    """List who is watched, the last first; there are few, and no pages."""
    found = await watching.list_watched(clinic, me)
    return unpaged([shown(WatchView, w) for w in found])


@router.post("", operation_id="watch_patient", status_code=201, response_model=WatchView)
@once(get_watched, at=None, named="patient_id")
async def post_watch(new: NewWatch, session: Transaction, clinic: Clinic, me: Me) -> Response:
    """Watch a patient: each access by staff is an alert from now on."""
    return Json(
        shown(WatchView, await watching.watch(session, clinic, me, new.patient_id, new.reason)), 201
    )


@router.post("/{patient_id}/release", operation_id="release_watched_patient", status_code=204)
async def post_release(patient_id: UUID, session: Transaction, clinic: Clinic, me: Me) -> None:
    """End the watch on a patient. Alerts that were found stay."""
    await watching.release(session, clinic, me, patient_id)
