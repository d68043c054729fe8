"""A person who was registered twice is in one place all the same: visits under their other ids engage them too.

The exclusion constraint compares ids. New visits stand under the surviving one, so it judges their races; what stood under
the other before the files were joined is looked for here.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import text

from core.database import Query, Store
from records.scheduling.models import BLOCKING

_VISIT: Final = (
    "SELECT FROM same_person s JOIN appointment ON appointment.patient_id = s.other_id"
    f" WHERE {BLOCKING} AND (held_until IS NULL OR held_until > now())"
    " AND tstzrange(starts_at, ends_at) && tstzrange(CAST(:since AS timestamptz), {until})"
    " AND s.patient_id = {person} AND s.other_id <> {own}"
)
_END: Final = (
    "coalesce(CAST(:until AS timestamptz), CAST(:since AS timestamptz)"
    " + make_interval(mins => coalesce(doctor_service.duration_minutes, service.duration_minutes, 30)))"
)
ELSEWHERE: Final = text(
    f"EXISTS ({_VISIT.format(until=_END, person='patient.id', own='patient.id')}) AS elsewhere"
)
"""For the SELECT that a booking is judged by: whether the patient is engaged under another id."""
_MOVED: Final = Query(
    text(
        "SELECT EXISTS ("
        + _VISIT.format(
            until="CAST(:until AS timestamptz)",
            person="CAST(:person AS uuid)",
            own="CAST(:own AS uuid)",
        )
        + ") AS elsewhere"
    )
)


async def engaged_elsewhere(store: Store, image: Mapping[str, Any]) -> bool:
    """Tell whether the patient of a visit has, under another id, a visit at its time."""
    times = {"since": image["starts_at"], "until": image["ends_at"]}
    row = await store.one(_MOVED, person=image["person_id"], own=image["patient_id"], **times)
    return bool(row and row["elsewhere"])
