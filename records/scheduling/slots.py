"""Slot search: what could be offered, soonest first, and of that what nobody has taken.

Two statements, however many doctors: one fetches hours, one asks of a batch of candidates which are free. Only
where nearly all time is taken does a larger batch follow. What is answered says where time is free, never who has the rest.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from core.clock import now
from core.database import Query
from core.errors import FieldError, Invalid
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.clinic import Clinic
from records.people.reading import patient_in_sight
from records.scheduling.hours import Supply, Wanted, supplies, supply_of
from records.scheduling.models import BLOCKING, BUFFERED

LONGEST: Final = timedelta(days=31, hours=1)
"""A window at most: a month, in which clocks may go back."""
BATCH: Final = 8
"""Candidates asked about for each slot that is wanted; four times as many in each further batch."""
NOBODY: Final = UUID(int=0)

Key = tuple[datetime, UUID, UUID]
"""Where a page ends: start, doctor, service (or NOBODY)."""

_HELD: Final = f"{BLOCKING} AND (held_until IS NULL OR held_until > now())"
"""A hold that ran out is free: whoever books the time lets it go."""
_OTHER: Final = f"{_HELD} AND appointment.id IS DISTINCT FROM (SELECT id FROM moving)"  # noqa: S608

_FREE: Final = Query(
    text(f"""
WITH given AS MATERIALIZED (
  SELECT CAST(:patient_id AS uuid) AS patient_id, CAST(:moving AS uuid) AS moving,
    CAST(:starts AS timestamptz[]) AS starts, CAST(:ends AS timestamptz[]) AS ends,
    CAST(:blocked_from AS timestamptz[]) AS blocked_from, CAST(:blocked_until AS timestamptz[]) AS blocked_until,
    CAST(:doctors AS uuid[]) AS doctors, CAST(:sessions AS uuid[]) AS sessions, CAST(:capacities AS int[]) AS capacities,
    CAST(:locations AS uuid[]) AS locations, CAST(:room_kinds AS text[]) AS room_kinds
), ours AS (
  SELECT person_id FROM patient WHERE id = (SELECT patient_id FROM given)
), moving AS (
  SELECT id FROM appointment WHERE id = (SELECT moving FROM given) AND person_id = (SELECT person_id FROM ours)
), wanted AS (
  SELECT w.* FROM given, unnest(
    starts, ends, blocked_from, blocked_until, doctors, sessions, capacities, locations, room_kinds
  ) WITH ORDINALITY AS w (
    starts_at, ends_at, blocked_from, blocked_until, doctor_id, session_id, capacity, location_id, room_kind, n)
)
SELECT n - 1 AS n, place.id AS location_id FROM wanted w
LEFT JOIN LATERAL (
  SELECT l.id FROM location l
  WHERE l.active
    AND CASE WHEN w.room_kind IS NULL THEN l.id = w.location_id
        ELSE l.room_kind = w.room_kind AND (w.location_id IS NULL OR w.location_id IN (l.id, l.site_id)) END
    AND NOT EXISTS (
      SELECT FROM appointment WHERE location_id = l.id AND exclusive AND location_id IS NOT NULL AND {_OTHER}
        AND {BUFFERED} && tstzrange(w.blocked_from, w.blocked_until)
        AND coalesce(session_id, id) IS DISTINCT FROM w.session_id)
  ORDER BY l.name, l.id LIMIT 1
) place ON w.location_id IS NOT NULL OR w.room_kind IS NOT NULL
WHERE NOT EXISTS (
    SELECT FROM appointment WHERE doctor_id = w.doctor_id AND {_OTHER}
      AND {BUFFERED} && tstzrange(w.blocked_from, w.blocked_until)
      AND coalesce(session_id, id) IS DISTINCT FROM w.session_id)
  AND NOT EXISTS (
    SELECT FROM appointment WHERE person_id = (SELECT person_id FROM ours) AND {_OTHER}
      AND tstzrange(starts_at, ends_at) && tstzrange(w.starts_at, w.ends_at))
  AND NOT EXISTS (
    SELECT FROM time_off o WHERE o.kind = 'absence' AND (o.doctor_id = w.doctor_id OR o.doctor_id IS NULL)
      AND o.starts_at < w.ends_at AND o.ends_at > w.starts_at
      AND (o.location_id IS NULL OR o.location_id IN (
        w.location_id, (SELECT site_id FROM location WHERE id = w.location_id))))
  AND (w.session_id IS NULL OR (
    SELECT count(*) < least(w.capacity, min(appointment.capacity)) FROM appointment
    WHERE session_id = w.session_id AND session_id IS NOT NULL AND {_OTHER}))
  AND (w.location_id IS NULL AND w.room_kind IS NULL OR place.id IS NOT NULL)
ORDER BY n LIMIT :most
""")  # noqa: S608 - the parts are constants of this package
)
"""`given` hides the values from the planner: it then finds one plan as good as any, and keeps it. Where it sees them it plans
anew at each call, which is seven times the work of the statement itself."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A free time of a doctor: [start, end), of a service and at a place where these are given."""

    doctor_id: UUID
    start: datetime
    end: datetime
    service_id: UUID | None
    location_id: UUID | None


@dataclass(frozen=True, slots=True)
class _Candidate:
    start: datetime
    doctor_id: UUID
    supply: Supply

    @property
    def key(self) -> Key:
        return self.start, self.doctor_id, self.supply.terms.service_id or NOBODY


async def find_slots(
    clinic: Clinic, me: Me, wanted: Wanted, *, limit: int, after: Key | None = None
) -> tuple[Sequence[Slot], Key | None]:
    """Return free slots, soonest first, and where the next page starts; raise Invalid for a window too long.

    A patient who asks is asking for themselves. Whoever names another patient must be one who may book for them.
    """
    if not wanted.since < wanted.until <= wanted.since + LONGEST:
        fault = FieldError("/to", "window", "the window ends after it starts, within 31 days")
        raise Invalid(errors=[fault])
    await clinic.gate.require(me, Action.SEARCH, Resource(ResourceType.SLOT))
    wanted = replace(wanted, patient_id=await _for_whom(clinic, me, wanted.patient_id))
    slots = await free(clinic, wanted, limit=limit + 1, after=after)
    page = slots[:limit]
    return page, key_of(page[-1]) if len(slots) > limit else None


async def _for_whom(clinic: Clinic, me: Me, patient_id: UUID | None) -> UUID | None:
    """Return the patient whose own visits count too; raise NotFound for one out of sight."""
    if patient_id in (None, me.subject.patient_id):
        return me.subject.patient_id
    whom = await patient_in_sight(clinic, me, patient_id)
    await clinic.gate.require(
        me, Action.BOOK, replace(whom, type=ResourceType.APPOINTMENT, id=None)
    )
    return patient_id


def key_of(slot: Slot) -> Key:
    """Return where a page ends that ends with this slot."""
    return slot.start, slot.doctor_id, slot.service_id or NOBODY


async def free(
    clinic: Clinic, wanted: Wanted, *, limit: int, after: Key | None = None, batch: int = BATCH
) -> Sequence[Slot]:
    """Return the first free slots, whoever asks."""
    rows = await clinic.database.all(supplies(wanted), **wanted.parameters)
    candidates = _candidates([supply_of(row) for row in rows], wanted, after)
    found: list[Slot] = []
    size = limit * batch
    while len(found) < limit and (some := list(islice(candidates, size))):
        found += await _untaken(clinic, wanted, some, limit - len(found))
        size *= 4
    return found


def _candidates(
    supplied: Sequence[Supply], wanted: Wanted, after: Key | None
) -> Iterator[_Candidate]:
    """Yield what the hours offer: by start, then doctor, then service, each once."""
    at = now()
    streams = [_starts(supply, wanted, at) for supply in supplied]
    merged = heapq.merge(*streams, key=lambda found: found[0])
    for start, together in groupby(merged, key=lambda found: found[0]):
        here = {
            candidate.key: candidate
            for _, supply in together
            for doctor_id in supply.doctors
            for candidate in [_Candidate(start, doctor_id, supply)]
        }
        yield from (here[key] for key in sorted(here) if after is None or key > after)


def _starts(supply: Supply, wanted: Wanted, at: datetime) -> Iterator[tuple[datetime, Supply]]:
    """Yield the starts of some hours that may be booked now: after the notice, before the horizon."""
    earliest, latest = supply.terms.bookable(at)
    since, until = max(wanted.since, earliest), min(wanted.until, latest)
    for start in supply.hours.starts(supply.terms.duration, since, until, supply.closed):
        yield start, supply


async def _untaken(
    clinic: Clinic, wanted: Wanted, batch: Sequence[_Candidate], most: int
) -> list[Slot]:
    slots = [(c.start, c.start + c.supply.terms.duration) for c in batch]
    blocked = [
        c.supply.terms.blocked(start, end) for c, (start, end) in zip(batch, slots, strict=True)
    ]
    rows = await clinic.database.all(
        _FREE,
        starts=[start for start, _ in slots],
        ends=[end for _, end in slots],
        blocked_from=[first for first, _ in blocked],
        blocked_until=[last for _, last in blocked],
        doctors=[c.doctor_id for c in batch],
        sessions=[c.supply.terms.session(c.doctor_id, c.start) for c in batch],
        capacities=[c.supply.terms.capacity for c in batch],
        locations=[c.supply.location_id for c in batch],
        room_kinds=[c.supply.terms.room_kind for c in batch],
        patient_id=wanted.patient_id,
        moving=wanted.moving,
        most=most,
    )
    return [_slot(batch[row["n"]], slots[row["n"]][1], row) for row in rows]


def _slot(candidate: _Candidate, end: datetime, row: Any) -> Slot:
    start, doctor_id, _ = candidate.key
    return Slot(doctor_id, start, end, candidate.supply.terms.service_id, row["location_id"])
