"""What a client writes: visits, records, addresses. Each is asked for until it is clear what became of it.

What is made has an Idempotency-Key; what is changed has If-Match, and when the answer was lost the client looks first.
"""

from itertools import count
from random import Random
from time import monotonic
from typing import Any, Final

from api.soak.caller import Caller, Diary
from api.soak.ground import DESK, DOCTOR
from api.soak.promises import WORD, Note, Promised, Visit, slot
from core.ids import new_id

EPOCH: Final = 2.0
"""Seconds for which everybody wants the same slot."""
OWN: Final = 400
"""Days from now on which the time begins that clients have for themselves."""
CONTESTED: Final = 4000
"""Days from now on which that begins which all want."""
MISSED: Final = 412


class Writer:
    """One of `clients`; its patients, and every so-many-th half hour, are its own."""

    def __init__(self, number: int, clients: int, caller: Caller, diary: Diary) -> None:
        self.promised = Promised()
        self._number = number
        self._caller = caller
        self._diary = diary
        self._names = count(1)
        self._slots = count(number, clients)
        self._began = monotonic()

    def book(self, patient_id: str, doctor_id: str) -> None:
        """Book time that nobody else wants: it must be had."""
        visit = Visit(self._word(), patient_id, doctor_id, slot(OWN, next(self._slots)))
        refused = self._booked("book", visit)
        if refused:
            self.promised.wrong.append(f"free time was refused: {refused}")

    def contest(self, patient_id: str, doctors: list[str]) -> None:
        """Book what everybody wants just now."""
        epoch = int((monotonic() - self._began) / EPOCH)
        doctor, start = doctors[epoch % len(doctors)], slot(CONTESTED, epoch)
        refused = self._booked(
            "contested slot", Visit(self._word(), patient_id, doctor, start, contested=True)
        )
        if refused not in (None, "slot-taken"):
            self.promised.wrong.append(f"contested time was refused: {refused}")

    def reschedule(self, visit: Visit) -> None:
        """Move a visit to another time of the client's own."""
        self._change("reschedule", visit, {"start": slot(OWN, next(self._slots)), "override": True})

    def cancel(self, visit: Visit) -> None:
        """Call a visit off."""
        self._change("cancel", visit, {"reason": self._word()})

    def write(self, patient_id: str, appointment_id: str) -> None:
        """Write a record about a visit."""
        note = Note(self._word(), patient_id)
        self.promised.notes.append(note)
        body = {"kind": "note", "title": note.title, "content": {"text": note.text}}
        said = self._made(
            "write record", DOCTOR, f"/v1/appointments/{appointment_id}/records", body
        )
        if said:
            note.unsure, note.id = False, said.get("id", "") if "code" not in said else ""
            if not note.id:
                self.promised.wrong.append(f"a record was refused: {said['code']}")

    def move_house(self, patient_id: str) -> None:
        """Give a patient another street, on top of what was read: an update that gets lost is seen at the end."""
        path, street = f"/v1/patients/{patient_id}", self._word()
        address = {"address": {"line": [street], "city": "Nettlebed"}}
        while not self._diary.hopeless.is_set():
            read = self._caller.surely("read patient", DESK, "GET", path)
            if read is None or not read[0].good:
                return
            self.promised.streets[patient_id] = {*_streets(read[1]), street}
            if street in _streets(read[1]):
                break
            match = {"If-Match": read[1]["etag"]}
            said = self._caller.ask("move house", DESK, "PATCH", path, address, match)
            if said and said[0].good:
                break
            if said and said[0].final and said[0].status != MISSED:
                self.promised.wrong.append(f"an address was refused: {said[0].code}")
                return
        else:
            return
        self.promised.streets[patient_id] = {street}

    def _booked(self, act: str, visit: Visit) -> str | None:
        """Ask for a visit until it is had or refused; return why it was refused, if it was."""
        self.promised.visits.append(visit)
        named = ("patient_id", "doctor_id", "start")
        wish = {name: getattr(visit, name) for name in named}
        wish |= {"reason": visit.word, "override": True}
        said = self._made(act, DESK, "/v1/appointments", wish)
        if said is None:
            return None
        visit.unsure = False
        if "code" in said:
            return str(said["code"])
        visit.take(said)
        return None

    def _made(self, act: str, who: str, path: str, body: Any) -> dict[str, Any] | None:
        key = {"Idempotency-Key": str(new_id())}
        said = self._caller.surely(act, who, "POST", path, body, key)
        return said and said[1]

    def _change(self, act: str, visit: Visit, body: Any) -> None:
        path, match = f"/v1/appointments/{visit.id}", {"If-Match": f'W/"{visit.version}"'}
        visit.unsure = True
        while visit.unsure and not self._diary.hopeless.is_set():
            said = self._caller.ask(act, DESK, "POST", f"{path}/{act}", body, match)
            if said and said[0].good:
                return visit.take(said[1])
            if said and said[0].final and said[0].status != MISSED:
                self.promised.wrong.append(f"{act} was refused: {said[0].code}")
            there = self._caller.surely("read visit", DESK, "GET", path)
            if there and there[0].good and there[1]["version"] != visit.version:
                return visit.take(there[1])
            if said and said[0].final:
                visit.unsure = False
        return None

    def _word(self) -> str:
        return f"{WORD} {self._number}-{next(self._names)}"


def some_visit(random: Random, promised: Promised) -> Visit | None:
    """Return a visit that stands and that nobody else wanted."""
    own = [v for v in promised.visits if v.status == "booked" and not v.contested and not v.unsure]
    return random.choice(own) if own else None


def _streets(patient: dict[str, Any]) -> set[str]:
    return set((patient.get("address") or {}).get("line", ()))
