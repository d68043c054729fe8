"""Doctors with hours, for slot search; and the floor beside it: the same slots, stored, as one indexed table."""

from datetime import date, time, timedelta
from typing import Final

from core.clock import now
from core.crypto.keyring import open_provider
from core.pool import alone
from core.settings import Settings
from records.base import add
from records.clinic import Clinic
from records.people.models import Doctor, DoctorSpecialty
from records.scheduling.supply import Schedule, Service

DOCTORS: Final = 1_000
DAYS: Final = 31
SPECIALTY: Final = "bench"
_STORE: Final = """
INSERT INTO floor.slot SELECT gen_random_uuid(), doctor_id, day + half * interval '30 minutes', day + (half + 1) * interval '30 minutes'
FROM doctor_specialty, generate_series(date_trunc('day', now()), now() + interval '32 days', interval '1 day') AS day,
  generate_series(18, 33) AS half WHERE code = $1
"""


async def open_hours(chosen: Settings, doctors: int = DOCTORS) -> str:
    """Give a clinic doctors who work every day from nine to five; return the service they offer, by its id."""
    service = Service(name="Check-up", specialty=SPECIALTY)
    people = [Doctor(family=f"Hours {n}", given="Bench") for n in range(doctors)]
    trained = [DoctorSpecialty(doctor_id=d.id, code=SPECIALTY) for d in people]
    windows = [
        Schedule(
            doctor_id=d.id,
            weekday=weekday,
            start_time=time(9),
            end_time=time(17),
            time_zone=chosen.time_zone,
            valid_from=date(2020, 1, 1),
        )
        for d in people
        for weekday in range(1, 8)
    ]
    keys = open_provider(chosen.kms)
    async with (
        Clinic.open(chosen.postgres_url, keys, pool=1) as clinic,
        clinic.database.transaction() as session,
    ):
        await add(session, service, *people, *trained, *windows)
    await _store(chosen)
    return str(service.id)


async def _store(chosen: Settings) -> None:
    async with alone(chosen.postgres_url) as connection:
        await connection.execute(_STORE, SPECIALTY)
        await connection.execute("VACUUM ANALYZE")


def window() -> tuple[str, str]:
    """Return from when to when is searched: the longest that may be."""
    tomorrow = (now() + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return f"{tomorrow:%Y-%m-%dT%H:%M:%SZ}", f"{tomorrow + timedelta(days=DAYS):%Y-%m-%dT%H:%M:%SZ}"
