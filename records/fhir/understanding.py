"""Understanding a bundle as a whole: all of it, or a list of what is broken in it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from records.fhir import clinical, people, visits
from records.fhir.bundle import Bundle, Entry, read_bundle
from records.fhir.found import Found, FoundVisit
from records.fhir.node import Broken

_USED: Final = frozenset(
    {
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "Coverage",
        "Encounter",
        "CareTeam",
        "Medication",
    }
) | frozenset(clinical.KINDS)
_LEFT: Final = {
    "Claim": "only the insurance it names is kept",
    "ExplanationOfBenefit": "only the insurance it names is kept",
}
FAULTS: Final = 50
"""Faults of one bundle that are told at most."""


class Rejected(Exception):
    """A bundle is broken: nothing of it is stored. `faults` says where and by which rule."""

    def __init__(self, faults: Sequence[Broken]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


def understand(raw: bytes) -> Found:
    """Return what a bundle says, checked from end to end; raise Rejected with every fault found."""
    faults: list[Broken] = []
    with _collecting(faults):
        bundle = read_bundle(raw)
    _refuse(faults)
    found = Found()
    for each in (_references, _people, _roles, _visits):
        each(bundle, found, faults)
        _refuse(faults)
    return found


def _references(bundle: Bundle, _found: Found, faults: list[Broken]) -> None:
    for entry in bundle.entries:
        with _collecting(faults):
            faults += bundle.dangling(entry)


def _people(bundle: Bundle, found: Found, faults: list[Broken]) -> None:
    for entry in bundle.of("Patient"):
        with _collecting(faults):
            found.patients[entry.index] = people.patient(entry)
    for entry in bundle.of("Practitioner"):
        with _collecting(faults):
            doctor = people.doctor(entry, found)
            found.by_entry[entry.index] = found.doctors.setdefault(doctor.identity, doctor)


def _roles(bundle: Bundle, found: Found, faults: list[Broken]) -> None:
    for entry in bundle.of("PractitionerRole"):
        with _collecting(faults):
            for whose, specialty in people.specialties(bundle, entry):
                if isinstance(whose, Entry):
                    found.by_entry[whose.index].specialties.append(specialty)
                else:
                    found.left["PractitionerRole", "its practitioner is in another bundle"] += 1
    with _collecting(faults):
        people.coverages(bundle, found)


def _visits(bundle: Bundle, found: Found, faults: list[Broken]) -> None:
    kept: dict[int, FoundVisit] = {}
    for entry in bundle.of("Encounter"):
        with _collecting(faults):
            if visit := visits.visit(bundle, entry, found):
                kept[entry.index] = visit
    visits.team(found)
    _each(bundle, faults, ("CareTeam",), lambda e: visits.care_team(bundle, e, found))
    if not faults:
        _each(bundle, faults, clinical.KINDS, lambda e: clinical.record(bundle, e, found, kept))
    for entry in bundle.entries:
        if entry.kind not in _USED:
            found.left[entry.kind, _LEFT.get(entry.kind, "this type is not kept")] += 1


def _each(
    bundle: Bundle, faults: list[Broken], kinds: Iterable[str], act: Callable[[Entry], None]
) -> None:
    for entry in bundle.of(*kinds):
        with _collecting(faults):
            act(entry)


@contextmanager
def _collecting(faults: list[Broken]) -> Iterator[None]:
    try:
        yield
    except Broken as broken:
        faults.append(broken)


def _refuse(faults: Sequence[Broken]) -> None:
    if faults:
        raise Rejected(faults[:FAULTS])
