"""What a client does all day: reads, lists, searches, books, moves, cancels, writes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from threading import Thread
from time import sleep
from typing import Any, Final

from api.soak.caller import Caller, Diary, pages
from api.soak.ground import COMPLIANCE, DESK, DOCTOR, Ground
from api.soak.promises import Promised
from api.soak.writes import Writer, some_visit
from core.clock import now

CLIENTS: Final = 6
THINKING: Final = 0.04
"""Seconds between two acts of a client, at most."""
Patient = dict[str, Any]
Doing = Callable[[Patient], None]


@dataclass(frozen=True, slots=True)
class House:
    """Who is there: the patients a doctor treats, each with a visit to write about, and all doctors."""

    patients: list[Patient]
    visits: Mapping[str, str]
    doctors: list[str]


def look_around(caller: Caller) -> House:
    """Return who is there."""
    patients = pages(caller, "list patients", DOCTOR, "/v1/patients")
    path = "/v1/patients/{id}/appointments"
    seen = {p["id"]: pages(caller, "list visits", DOCTOR, path.format(**p)) for p in patients}
    known = [patient for patient in patients if seen[patient["id"]]]
    doctors = [d["id"] for d in pages(caller, "list doctors", DESK, "/v1/doctors")]
    return House(known, {p["id"]: seen[p["id"]][0]["id"] for p in known}, doctors)


class Client(Thread):
    """One client, in a thread of its own, until the load is over."""

    def __init__(self, number: int, seed: int, house: House, ground: Ground, diary: Diary) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self._random = Random(f"{seed} {number}")  # noqa: S311 - a choice, not a secret
        self._caller = Caller(ground, diary)
        self._diary = diary
        self._house = house
        self._patients = house.patients[number::CLIENTS]
        self._doctor = house.doctors[number % len(house.doctors)]
        self._writer = Writer(number, CLIENTS, self._caller, diary)

    @property
    def promised(self) -> Promised:
        """What it was told."""
        return self._writer.promised

    def run(self) -> None:
        """Do one thing after the other."""
        acts = self._acts()
        while not self._diary.over.is_set():
            (act,) = self._random.choices(list(acts), list(acts.values()))
            act(self._random.choice(self._patients))
            sleep(self._random.uniform(0, THINKING))
        self._caller.close()

    def _acts(self) -> Mapping[Doing, int]:
        """Return what there is to do, and how often compared with the rest."""
        return {
            self._read: 24, self._list_records: 8, self._read_patient: 8, self._list_visits: 5, self._audit: 3,
            self._search_patients: 5, self._search_records: 3, self._free_slots: 2, self._book: 12, self._contest: 5,
            self._reschedule: 5, self._cancel: 3, self._write: 10, self._move_house: 3,
        }  # fmt: skip

    def _read(self, patient: Patient) -> None:
        notes = [note for note in self.promised.notes if note.id]
        if not notes:
            return self._write(patient)
        note = self._random.choice(notes)
        said = self._caller.ask("read record", DOCTOR, "GET", f"/v1/records/{note.id}")
        if said and said[0].good and said[1]["title"] != note.title:
            self.promised.wrong.append(f"record {note.id} says something else")
        return None

    def _list_records(self, patient: Patient) -> None:
        self._caller.ask("list records", DOCTOR, "GET", f"/v1/patients/{patient['id']}/records")

    def _read_patient(self, patient: Patient) -> None:
        self._caller.ask("read patient", DESK, "GET", f"/v1/patients/{patient['id']}")

    def _list_visits(self, patient: Patient) -> None:
        self._caller.ask("list visits", DESK, "GET", f"/v1/patients/{patient['id']}/appointments")

    def _search_patients(self, patient: Patient) -> None:
        wanted = {"family": patient["name"]["family"], "birth_date": patient["birth_date"]}
        said = self._caller.ask("search patients", DESK, "POST", "/v1/patients/search", wanted)
        if said and said[0].good and patient["id"] not in [p["id"] for p in said[1]["items"]]:
            self.promised.wrong.append(f"patient {patient['id']} was not found")

    def _search_records(self, patient: Patient) -> None:
        wanted = {"patient_id": patient["id"], "kind": "note"}
        self._caller.ask("search records", DOCTOR, "POST", "/v1/records/search", wanted)

    def _free_slots(self, _patient: Patient) -> None:
        days = (now() + timedelta(days=n) for n in (1, 8))
        since, until = (f"{day:%Y-%m-%dT00:00:00Z}" for day in days)
        path = f"/v1/slots?from={since}&to={until}&doctor_id={self._doctor}"
        self._caller.ask("free slots", DESK, "GET", path)

    def _audit(self, patient: Patient) -> None:
        path = f"/v1/audit/events?patient={patient['id']}&limit=20"
        self._caller.ask("query the trail", COMPLIANCE, "GET", path)

    def _book(self, patient: Patient) -> None:
        self._writer.book(patient["id"], self._doctor)

    def _contest(self, patient: Patient) -> None:
        self._writer.contest(patient["id"], self._house.doctors)

    def _reschedule(self, _patient: Patient) -> None:
        if visit := some_visit(self._random, self.promised):
            self._writer.reschedule(visit)

    def _cancel(self, _patient: Patient) -> None:
        if visit := some_visit(self._random, self.promised):
            self._writer.cancel(visit)

    def _write(self, patient: Patient) -> None:
        self._writer.write(patient["id"], self._house.visits[patient["id"]])

    def _move_house(self, patient: Patient) -> None:
        self._writer.move_house(patient["id"])
