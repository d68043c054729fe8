"""Encounters in a bundle: finished ambulatory ones become visits, each with a note of why it was."""

from datetime import timedelta
from typing import Any, Final

from policies.vocabulary import Sensitivity
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
    doctors = [doctor_of(bundle, p.need("individual"), found) for p in _participants(resource)]
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
    for participant in resource.each("participant"):
        member = participant.get("member")
        if member and "Practitioner" in _target(bundle, member):
            whose.team.add(doctor_of(bundle, member, found).identity)


def doctor_of(bundle: Bundle, holder: Node, found: Found) -> FoundDoctor:
    """Return the doctor a reference leads to; one of another bundle is noted as such."""
    target = bundle.practitioner(holder)
    if isinstance(target, str):
        elsewhere = FoundDoctor(target, elsewhere=f"{holder.pointer}/reference")
        return found.doctors.setdefault(target, elsewhere)
    return found.by_entry[target.index]


def _participants(resource: Node) -> list[Node]:
    people = [p for p in resource.each("participant") if p.get("individual")]
    return [p for p in people if "PractitionerRole" not in str(p.need("individual").value)]


def _target(bundle: Bundle, holder: Node) -> str:
    reference = holder.get("reference")
    entry = bundle.named(reference.text()) if reference else None
    return entry.kind if entry else str(reference.value if reference else "").partition("?")[0]


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
    named = [*reasons, *types, {"display": "Visit"}][0]
    title = str((types or [named])[0]["display"])
    label: Sensitivity = sensitivity(resource)
    name = f"{entry.reference}#note"
    return FoundRecord(
        resource.pointer, name, RecordKind.NOTE, title, content, label, categories(resource)
    )
