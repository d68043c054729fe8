"""Book, hold, move, cancel, undo, expire, wait, accept, decline, in any order, against a model of a few lines.

CONFIDE_MODEL_STEPS says how many steps; the ordinary suite takes two thousand, `CONFIDE_MODEL_STEPS=10000` a long look.
"""

import asyncio
import os
from collections.abc import Coroutine
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from core.clock import now
from core.errors import Conflict
from records.clinic import Clinic
from records.people.registration import register
from records.scheduling import answering, changing, moving, waiting
from records.scheduling.booking import book
from records.scheduling.changing import Why
from records.scheduling.clockwork import lapse
from records.scheduling.holding import hold
from records.scheduling.models import Act
from records.scheduling.moving import Move
from records.scheduling.waiting import Wish
from tests.clinics import DETAILS, People, keyring, populate

STEPS = int(os.environ.get("CONFIDE_MODEL_STEPS", "2000"))
STEPS_A_RUN = 40
BASE = (now() + timedelta(days=20)).replace(hour=15, minute=0, second=0, microsecond=0)
SLOT = timedelta(minutes=30)
HOLDING = ("pending", "booked")
LOOK = """
SELECT
 (SELECT count(*) FROM appointment a JOIN appointment b ON a.id < b.id
   AND (a.doctor_id = b.doctor_id OR a.person_id = b.person_id)
   AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at
  WHERE a.status IN ('pending', 'booked', 'arrived', 'checked-in')
    AND b.status IN ('pending', 'booked', 'arrived', 'checked-in')) AS overlaps,
 (SELECT count(*) FROM appointment a
  WHERE version <> 1 + (SELECT count(*) FROM appointment_change c WHERE c.appointment_id = a.id)) AS untold,
 ARRAY(SELECT (id, doctor_id, status, starts_at) FROM appointment) AS visits,
 ARRAY(SELECT (id, status, offer_id) FROM waitlist_entry) AS entries
"""
"""All that must hold of the database, in one look."""
# Without the triggers of foreign keys, row by row: TRUNCATE costs as much as a hundred steps.
WIPE = """
SET session_replication_role = replica;
DELETE FROM waitlist_entry; DELETE FROM appointment_change; DELETE FROM appointment;
SET session_replication_role = origin
"""


@dataclass
class Visit:
    doctor: UUID
    patient: UUID
    slot: int
    status: str
    stale: bool = False
    last: tuple[str, str, int, UUID] | None = None

    @property
    def holds(self) -> bool:
        return self.status in HOLDING


@dataclass
class Entry:
    patient: UUID
    priority: int
    later: UUID | None
    status: str = "waiting"
    offer: UUID | None = None


@dataclass
class Model:
    """What should be: visits and entries in the order in which they came."""

    visits: dict[UUID, Visit] = field(default_factory=dict)
    entries: dict[UUID, Entry] = field(default_factory=dict)

    def free(self, doctor: UUID, patient: UUID, slot: int, but: UUID | None = None) -> bool:
        return not any(
            v.holds and v.slot == slot and i != but and (v.doctor == doctor or v.patient == patient)
            for i, v in self.visits.items()
        )

    def turn(
        self,
        visit_id: UUID,
        act: str,
        status: str,
        slot: int | None = None,
        doctor: UUID | None = None,
    ) -> None:
        """Change a visit, then pass on what that means."""
        visit = self.visits[visit_id]
        before = visit.status, visit.slot, visit.doctor
        visit.last = (act, *before)
        visit.status, visit.slot = status, visit.slot if slot is None else slot
        visit.doctor = doctor or visit.doctor
        if before[0] == "pending" and status != "pending":
            visit.stale = False
            self._settle(visit_id, act)
        if before[0] in HOLDING and (not visit.holds or before[1:] != (visit.slot, visit.doctor)):
            self.expected(before[2], before[1])

    def _settle(self, visit_id: UUID, act: str) -> None:
        for entry in self.entries.values():
            if entry.offer == visit_id and entry.status == "offered":
                ends = {"confirm": "booked", "cancel": "declined", "expire": "expired"}
                entry.status = ends[act]
                if act == "confirm" and entry.later and self.visits[entry.later].holds:
                    self.turn(entry.later, "cancel", "cancelled")

    def expected(self, doctor: UUID, slot: int) -> None:
        """Offer a freed slot: its hold has an id the database makes, so it is promised under the entry's."""
        order = sorted(self.entries.items(), key=lambda e: (e[1].priority, e[0]))
        for entry_id, entry in order:
            has = self.visits.get(entry.later) if entry.later else None
            if entry.status != "waiting" or (has and has.slot <= slot):
                continue
            if self.free(doctor, entry.patient, slot):
                entry.status, entry.offer = "offered", entry_id
                self.visits[entry_id] = Visit(doctor, entry.patient, slot, "pending")
                return

    def lapse(self) -> bool:
        stale = sorted(i for i, v in self.visits.items() if v.stale and v.status == "pending")
        for visit_id in stale:
            self.turn(visit_id, "expire", "cancelled")
        return bool(stale)


class Calendar(RuleBasedStateMachine):
    """The clinic and the model, step by step."""

    loop: asyncio.AbstractEventLoop
    clinic: Clinic
    people: People
    patients: list[UUID]
    doctors: list[UUID]
    owner: asyncpg.Connection
    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.run(self.owner.execute(WIPE))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def act(self, work: Any, *given: Any, **named: Any) -> Any:
        """Do one act as the front desk, in a transaction; a Conflict comes back as its code."""

        async def acting() -> Any:
            async with self.clinic.database.transaction() as session:
                return await work(session, self.clinic, self.people.reception, *given, **named)

        try:
            return self.run(acting())
        except Conflict as conflict:
            return conflict.code

    def some(self, data: st.DataObject, ids: list[UUID]) -> UUID:
        return data.draw(st.sampled_from(sorted(ids)))

    def visits(self, *statuses: str) -> list[UUID]:
        return [i for i, v in self.model.visits.items() if not statuses or v.status in statuses]

    def adopt(self, entries: list[tuple[UUID, str, UUID | None]]) -> None:
        """Learn the ids of the holds that the model promised."""
        for entry_id, _, offer_id in entries:
            entry = self.model.entries[entry_id]
            if entry.offer == entry_id and offer_id:
                entry.offer = offer_id
                self.model.visits[offer_id] = self.model.visits.pop(entry_id)

    def expect(self, answer: Any, then: Model | str) -> None:
        """Compare an answer with what the model foresaw: a code, or the state it leads to."""
        if isinstance(then, str):
            assert answer == then
        else:
            assert not isinstance(answer, str), answer
            self.model = then

    @rule(d=st.integers(0, 1), p=st.integers(0, 3), slot=st.integers(0, 4), held=st.booleans())
    def book(self, d: int, p: int, slot: int, held: bool) -> None:
        doctor, patient = self.doctors[d], self.patients[p]
        wanted = {"patient_id": patient, "doctor_id": doctor, "start": BASE + slot * SLOT}
        made = self.act(hold, timedelta(minutes=10), **wanted) if held else self.act(book, **wanted)
        after = deepcopy(self.model)
        free = after.free(doctor, patient, slot)
        if not free and after.lapse():
            free = after.free(doctor, patient, slot)
        if free and not isinstance(made, str):
            after.visits[made.id] = Visit(doctor, patient, slot, "pending" if held else "booked")
        self.expect(made, after if free else "slot-taken")

    @precondition(lambda self: self.model.visits)
    @rule(data=st.data(), slot=st.integers(0, 4), d=st.integers(0, 1))
    def move(self, data: st.DataObject, slot: int, d: int) -> None:
        visit_id = self.some(data, self.visits())
        visit = self.model.visits[visit_id]
        there = Move(BASE + slot * SLOT, doctor_id=self.doctors[d])
        answer = self.act(moving.reschedule, visit_id, there, Why())
        if visit.stale:
            self.expect(answer, "hold-expired")
            return
        if not visit.holds:
            self.expect(answer, "illegal-transition")
            return
        self.expect(answer, self.moved(visit_id, "reschedule", visit.status, slot, self.doctors[d]))

    def moved(self, visit_id: UUID, act: str, status: str, slot: int, doctor: UUID) -> Model | str:
        after = deepcopy(self.model)
        after.lapse()
        visit = after.visits[visit_id]
        if status in HOLDING and not after.free(doctor, visit.patient, slot, visit_id):
            return "slot-taken"
        after.turn(visit_id, act, status, slot, doctor)
        return after

    @precondition(lambda self: self.model.visits)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        visit_id = self.some(data, self.visits())
        visit = self.model.visits[visit_id]
        answer = self.act(moving.undo, visit_id, Why())
        last = visit.last
        if last is None or last[0] in ("undo", "expire") or (last[1] == "pending" != visit.status):
            self.expect(answer, "nothing-to-undo")
            return
        if visit.stale:
            self.expect(answer, "hold-expired")
            return
        self.expect(answer, self.moved(visit_id, "undo", *last[1:]))

    @precondition(lambda self: self.model.visits)
    @rule(data=st.data(), act=st.sampled_from([Act.CANCEL, Act.CONFIRM]))
    def end(self, data: st.DataObject, act: Act) -> None:
        visit_id = self.some(data, self.visits())
        visit = self.model.visits[visit_id]
        answer = self.act(changing.change, visit_id, act, Why())
        if act is Act.CONFIRM and visit.stale:
            self.expect(answer, "hold-expired")
            return
        if not (visit.status == "pending" or (visit.holds and act is Act.CANCEL)):
            self.expect(answer, "illegal-transition")
            return
        after = deepcopy(self.model)
        after.turn(visit_id, act, "cancelled" if act is Act.CANCEL else "booked")
        self.expect(answer, after)

    @precondition(lambda self: self.visits("pending"))
    @rule(data=st.data())
    def run_out(self, data: st.DataObject) -> None:
        visit_id = self.some(data, self.visits("pending"))
        self.run(
            self.owner.execute("UPDATE appointment SET held_until = now() WHERE id = $1", visit_id)
        )
        self.model.visits[visit_id].stale = True

    @rule()
    def sweep(self) -> None:
        self.act(lambda session, clinic, _me: lapse(session, clinic))
        self.model.lapse()

    @rule(data=st.data(), p=st.integers(0, 3), priority=st.integers(1, 3), swap=st.booleans())
    def wait(self, data: st.DataObject, p: int, priority: int, swap: bool) -> None:
        patient = self.patients[p]
        theirs = [i for i in self.visits("booked") if self.model.visits[i].patient == patient]
        later = self.some(data, theirs) if swap and theirs else None
        wish = Wish(BASE - SLOT, BASE + 20 * SLOT, "UTC", priority=priority, appointment_id=later)
        made = self.act(waiting.enter, patient, wish)
        self.model.entries[made.id] = Entry(patient, priority, later)

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data(), act=st.sampled_from(["accept", "accept", "decline", "resume", "leave"]))
    def answer(self, data: st.DataObject, act: str) -> None:
        entry_id = self.some(data, list(self.model.entries))
        entry = self.model.entries[entry_id]
        answer = self.act(getattr(answering, act), entry_id, Why())
        after = deepcopy(self.model)
        mine, offered = after.entries[entry_id], entry.status == "offered"
        if act in ("accept", "decline") and not offered:
            self.expect(answer, "no-offer")
            return
        if act == "accept" and self.model.visits[entry.offer].stale:
            self.expect(answer, "hold-expired")
            return
        refused = {"resume": ("declined", "expired"), "leave": ("booked", "removed")}
        if (act == "resume") != (entry.status in refused["resume"]) and act == "resume":
            self.expect(answer, "waitlist-state")
            return
        if act == "leave" and entry.status in refused["leave"]:
            self.expect(answer, "waitlist-state")
            return
        if act == "accept":
            after.turn(entry.offer, "confirm", "booked")
        elif offered:
            after.turn(entry.offer, "cancel", "cancelled")
        if act in ("resume", "leave"):
            mine.status = "waiting" if act == "resume" else "removed"
            mine.offer = None if act == "resume" else mine.offer
        self.expect(answer, after)

    @invariant()
    def nobody_is_booked_twice_and_nothing_is_lost(self) -> None:
        Calendar.steps += 1
        found = self.run(self.owner.fetchrow(LOOK))
        self.adopt(found["entries"])
        assert (found["overlaps"], found["untold"]) == (0, 0)
        stored = {i: (d, status, (at - BASE) // SLOT) for i, d, status, at in found["visits"]}
        assert stored == {i: (v.doctor, v.status, v.slot) for i, v in self.model.visits.items()}
        waiting = {i: (status, offer) for i, status, offer in found["entries"]}
        assert waiting == {i: (e.status, e.offer) for i, e in self.model.entries.items()}
        live = [e.offer for e in self.model.entries.values() if e.status == "offered"]
        assert len(live) == len(set(live))
        assert all(self.model.visits[offer].status == "pending" for offer in live)


async def _patient(clinic: Clinic, people: People) -> UUID:
    async with clinic.database.transaction() as session:
        return (await register(session, clinic, people.reception, DETAILS)).patient_id


def test_the_calendar_agrees_with_its_model(database_url: str, tmp_path: Path):
    loop = asyncio.new_event_loop()
    keys = keyring(tmp_path)

    async def begin() -> tuple[Any, Clinic, People, list[UUID], Any]:
        opening = Clinic.open(database_url, keys, pool=4)
        clinic = await opening.__aenter__()
        people = await populate(clinic)
        patients = [people.patient_id, *[await _patient(clinic, people) for _ in range(3)]]
        return opening, clinic, people, patients, await asyncpg.connect(database_url)

    opening, clinic, people, patients, owner = loop.run_until_complete(begin())
    Calendar.loop, Calendar.clinic, Calendar.people = loop, clinic, people
    Calendar.patients, Calendar.owner = patients, owner
    doctors = (people.adams.subject.doctor_id, people.baker.subject.doctor_id)
    Calendar.doctors = [d for d in doctors if d]
    try:
        while Calendar.steps < STEPS:  # a run may end before its last step
            run_machine(
                Calendar,
                settings=settings(
                    max_examples=1 + (STEPS - Calendar.steps) // STEPS_A_RUN,
                    stateful_step_count=STEPS_A_RUN,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    database=None,
                ),
            )
    finally:
        loop.run_until_complete(owner.close())
        loop.run_until_complete(opening.__aexit__(None, None, None))
        loop.close()
