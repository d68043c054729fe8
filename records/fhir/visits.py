"""Encounters in a bundle: finished ambulatory ones become visits, each with a note of why it was."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from records.clinical.models import RecordKind
from records.fhir.bundle import Bundle, Entry
from records.fhir.elements import categories, coding, period, sensitivity
from records.fhir.found import Found, FoundDoctor, FoundRecord, FoundVisit
from records.fhir.node import Node

AMBULATORY: Final = frozenset({"AMB", "VR", "HH"})
"""HL7 v3 ActCode: at the clinic, virtual, at home."""

_OTHER_CLASSES: Final = frozenset({"EMER", "FLD", "IMP", "ACUTE", "NONAC", "OBSENC", "PRENC", "SS"})
_STATUSES: Final = frozenset(
    {
        "planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled",
        "entered-in-error", "unknown",
    }
)  # fmt: skip
RECENT: Final = timedelta(days=365)
"""Who saw a patient within a year before the latest visit treats them still."""


def visit(bundle: Bundle, entry: Entry, found: Found) -> FoundVisit | None:
    """Understand an Encounter; None, and counted, for one that is not kept."""
    resource = entry.resource
    status = resource.need("status").one_of(_STATUSES)
    kind = resource.need("class").need("code").code()
    whose = found.patients[bundle.find(resource.need("subject"), "Patient").index]
    people = [p.get("individual") for p in resource.each("participant")]
    doctors = [doctor_of(bundle, holder, found) for holder in _practitioners(bundle, people)]
    if reason := _reason_to_leave(kind, status, doctors):
        found.left["Encounter", reason] += 1
        return None
    time = resource.need("period")
    start, end = time.need("start").instant(), time.need("end").instant()
    if end <= start:
        raise time.need("end").broken("order")
    note = _note(entry)
    made = FoundVisit(entry.reference, doctors[0].identity, start, end, note.title, records=[note])
    if not made.reference:
        raise resource.need("id").broken("required")
    whose.visits.append(made)
    return made


def team(found: Found) -> None:
    """Put into each patient's care team the doctors of the last year of visits."""
    for patient in found.patients.values():
        patient.visits.sort(key=lambda visit: visit.start)
        latest = patient.visits[-1].start if patient.visits else None
        patient.team |= {v.doctor for v in patient.visits if latest and v.start >= latest - RECENT}


def care_team(bundle: Bundle, entry: Entry, found: Found) -> None:
    """Add the practitioners of an active CareTeam; its other members are nobody's account."""
    resource = entry.resource
    status = resource.get("status")
    subject = resource.get("subject")
    if not subject or (status and status.value != "active"):
        found.left["CareTeam", "not active"] += 1
        return
    whose = found.patients[bundle.find(subject, "Patient").index]
    members = [p.get("member") for p in resource.each("participant")]
    for holder in _practitioners(bundle, members):
        whose.team.add(doctor_of(bundle, holder, found).identity)


def doctor_of(bundle: Bundle, holder: Node, found: Found) -> FoundDoctor:
    """Return the doctor a reference leads to; one of another bundle is noted as such."""
    target = bundle.practitioner(holder)
    if isinstance(target, str):
        elsewhere = FoundDoctor(target, elsewhere=f"{holder.pointer}/reference")
        return found.doctors.setdefault(target, elsewhere)
    return found.by_entry[target.index]


def _practitioners(bundle: Bundle, holders: Iterable[Node | None]) -> list[Node]:
    """Return those References that lead to a Practitioner; FHIR allows roles, relatives and others in their place."""
    return [holder for holder in holders if holder and bundle.kind_of(holder) == "Practitioner"]


def _reason_to_leave(kind: str, status: str, doctors: list[FoundDoctor]) -> str | None:
    if kind not in AMBULATORY:
        return f"class {kind if kind in _OTHER_CLASSES else 'given'} is not ambulatory"
    if status != "finished":
        return f"status is {status}"
    return None if doctors else "names no doctor"


def _note(entry: Entry) -> FoundRecord:
    """Return the note that an Encounter itself is: its type, its reason, its time."""
    resource = entry.resource
    types = [coding(concept) for concept in resource.each("type")]
    reasons = [coding(concept) for concept in resource.each("reasonCode")]
    content: dict[str, Any] = {"type": types, "period": period(resource.need("period"))}
    if reasons:
        content["reason"] = reasons
    title = str([*types, *reasons, {"display": "Visit"}][0]["display"])
    return FoundRecord(
        resource.pointer,
        f"{entry.reference}#note",
        RecordKind.NOTE,
        title,
        content,
        sensitivity(resource),
        categories(resource),
    )
