"""A lost race: somebody else has the time. The next free times are looked up when the failed transaction is over."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from core.errors import Conflict
from records.clinic import Clinic
from records.scheduling.admission import Time
from records.scheduling.hours import Wanted
from records.scheduling.slots import Slot, free

ALTERNATIVES: Final = 3
AHEAD: Final = timedelta(days=31)
FEW: Final = 2
"""Candidates asked about first for each: where one time of a doctor is taken, most of the others are free."""


class SlotTaken(Conflict):
    """Doctor, patient or room is engaged at that time."""

    code = "slot-taken"

    def __init__(self, wanted: Time) -> None:
        super().__init__("doctor, patient or room is engaged at that time", retryable=True)
        self.wanted = wanted


def time_of(image: Mapping[str, Any], *, override: bool = False) -> Time:
    """Return the time that an image of an appointment wants."""
    start, end = image["starts_at"], image["ends_at"]
    service_id, location_id = image["service_id"], image["location_id"]
    whose = image["person_id"], image["row_id"]
    return Time(image["doctor_id"], start, end, service_id, location_id, override, *whose)


async def alternatives(clinic: Clinic, wanted: Time) -> Sequence[Slot]:
    """Return the next times, from the wanted one on, when the same doctor is free for the same service, and the patient too."""
    start = wanted.start
    span = Wanted(
        start,
        start + AHEAD,
        (wanted.doctor_id,),
        service_id=wanted.service_id,
        patient_id=wanted.patient_id,
        moving=wanted.moving,
    )
    return await free(clinic, span, limit=ALTERNATIVES, batch=FEW)
