"""Whether all that was acknowledged is there, word for word, and nothing that was refused."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from api.soak.caller import Caller, pages
from api.soak.ground import DESK, DOCTOR
from api.soak.judge import Verdict
from api.soak.load import House
from api.soak.promises import WORD, Note, Promised, Visit


def judged_writes(caller: Caller, house: House, promised: Sequence[Promised]) -> Iterator[Verdict]:
    """Judge what clients were told of what they wrote, by reading all of it again."""
    visits = list(chain.from_iterable(p.visits for p in promised))
    notes = list(chain.from_iterable(p.notes for p in promised))
    calendar = pages(caller, "all visits", DESK, "/v1/appointments")
    charts = (
        pages(caller, "all records", DOCTOR, f"/v1/patients/{patient['id']}/records")
        for patient in house.patients
    )
    wrong_notes = list(wrong_records(notes, list(chain.from_iterable(charts))))
    yield Verdict(
        "no booking is lost, doubled or half there",
        f"{len(visits)} asked for",
        list(wrong_visits(visits, calendar)),
    )
    yield Verdict(
        "no record is lost, doubled or half there", f"{len(notes)} asked for", wrong_notes
    )
    yield Verdict("no address is lost", "", list(_wrong_streets(caller, promised)))
    yield Verdict("no false refusal", "", list(chain.from_iterable(p.wrong for p in promised)))


def wrong_visits(visits: Sequence[Visit], calendar: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with the visits that are there, and with those that are not."""
    known = {visit.word: visit for visit in visits}
    ours = [shown for shown in calendar if (shown["reason"] or "").startswith(WORD)]
    times = Counter(shown["reason"] for shown in ours)
    yield from _miscounted(times, {v.word: bool(v.id) for v in visits if not v.unsure})
    for shown in ours:
        visit = known[shown["reason"]]
        told = visit.id, visit.status, visit.version, visit.start
        there = tuple(shown[name] for name in ("id", "status", "version", "start"))
        if not visit.unsure and told != there:
            yield f"{visit.word}: {there}, not {told}"
    asked = {(v.doctor_id, v.start) for v in visits if v.contested and not v.unsure}
    had = {(v.doctor_id, v.start) for v in visits if v.contested and (v.id or v.unsure)}
    yield from (f"a contested slot went to nobody: {start}" for _, start in asked - had)


def wrong_records(notes: Sequence[Note], charts: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with the records that are there, and with those that are not."""
    known = {note.title: note for note in notes}
    ours = [shown for shown in charts if shown["title"].startswith(WORD)]
    times = Counter(shown["title"] for shown in ours)
    yield from _miscounted(times, {n.title: bool(n.id) for n in notes if not n.unsure})
    for shown in ours:
        note = known[shown["title"]]
        if shown["content"] != {"text": note.text} or note.id not in ("", shown["id"]):
            yield f"{note.title}: it says something else"


def _miscounted(times: Counter[str], told: Mapping[str, bool]) -> Iterator[str]:
    """Yield what is there twice, or otherwise than it was told."""
    for word, made in told.items():
        if times[word] != made:
            yield f"{word}: {times[word]} times, answered {'yes' if made else 'no'}"
    for word in times.keys() - told.keys():
        if times[word] > 1:
            yield f"{word}: {times[word]} times"


def _wrong_streets(caller: Caller, promised: Sequence[Promised]) -> Iterator[str]:
    for patient, streets in chain.from_iterable(p.streets.items() for p in promised):
        said = caller.surely("read patient", DESK, "GET", f"/v1/patients/{patient}")
        there = said and said[1].get("address", {}).get("line", [])
        if not there or not set(there) <= streets:
            yield f"the address of {patient}"
