"""What was written at a visit: Condition, MedicationRequest, Observation and AllergyIntolerance become records."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from records.clinical.models import RecordKind
from records.fhir.bundle import Bundle, Entry
from records.fhir.elements import categories, coding, period, quantity, sensitivity
from records.fhir.found import Found, FoundRecord, FoundVisit
from records.fhir.node import Node

Content = dict[str, Any]

_UNFINISHED: Final = frozenset(
    {"draft", "entered-in-error", "registered", "preliminary", "unknown"}
)
_REQUESTS: Final = frozenset(
    {
        "active", "on-hold", "cancelled", "completed", "entered-in-error", "stopped", "draft",
        "unknown",
    }
)  # fmt: skip
_OBSERVATIONS: Final = frozenset(
    {
        "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error",
        "unknown",
    }
)  # fmt: skip


class Unsupported(Exception):
    """A resource is right, and yet not kept: a reason for the report."""


def record(bundle: Bundle, entry: Entry, found: Found, visits: Mapping[int, FoundVisit]) -> None:
    """Add a resource to the visit it was written at; count it when there is none, or when it is not kept."""
    resource = entry.resource
    kind, subject, understand = KINDS[entry.kind]
    patient = found.patients[bundle.find(resource.need(subject), "Patient").index]
    holder = resource.get("encounter")
    visit = visits.get(bundle.find(holder, "Encounter").index) if holder else None
    try:
        code, content = understand(bundle, resource)
    except Unsupported as reason:
        found.left[entry.kind, str(reason)] += 1
        return
    if visit is None:
        why = "its encounter is not kept" if holder else "names no encounter"
        found.left[entry.kind, why] += 1
        return
    if visit not in patient.visits:
        raise resource.need("encounter").broken("another-patient")
    if not entry.reference:
        raise resource.need("id").broken("required")
    content = {"code": code, **content}
    title, label = str(code["display"]), sensitivity(resource)
    about = categories(resource)
    made = FoundRecord(resource.pointer, entry.reference, kind, title, content, label, about)
    visit.records.append(made)


def _condition(_bundle: Bundle, resource: Node) -> tuple[Mapping[str, Any], Content]:
    code = coding(resource.need("code"))
    content: Content = {}
    for element in ("clinicalStatus", "verificationStatus", "severity"):
        if concept := resource.get(element):
            content[element] = _word(concept)
    _refuse_unfinished(content.get("verificationStatus"))
    moments = {
        "onset": "onsetDateTime",
        "abatement": "abatementDateTime",
        "recorded": "recordedDate",
    }
    return code, content | _moments(resource, moments)


def _request(bundle: Bundle, resource: Node) -> tuple[Mapping[str, Any], Content]:
    status = resource.need("status").one_of(_REQUESTS)
    concept = resource.get("medicationCodeableConcept")
    if concept is None:
        medication = _medication(bundle, resource, resource.need("medicationReference"))
        concept = medication.need("code")
    code = coding(concept)
    _refuse_unfinished(status)
    content: Content = {"status": status, "intent": resource.need("intent").code()}
    content |= _moments(resource, {"authoredOn": "authoredOn"})
    doses = [_dosage(dose) for dose in resource.each("dosageInstruction")]
    if any(doses):
        content["dosageInstruction"] = doses
    reasons = [coding(reason) for reason in resource.each("reasonCode")]
    reasons += [
        coding(bundle.find(holder, "Condition").resource.need("code"))
        for holder in resource.each("reasonReference")
    ]
    return code, content | ({"reason": reasons} if reasons else {})


def _medication(bundle: Bundle, resource: Node, holder: Node) -> Node:
    """Return the Medication a request refers to: one of its own (`#id`), or another entry."""
    name = holder.need("reference").text()
    for contained in resource.each("contained"):
        if name == f"#{contained.need('id').value}":
            return contained
    return bundle.find(holder, "Medication").resource


def _dosage(dose: Node) -> Content:
    found: Content = {}
    if text := dose.optional("text"):
        found["text"] = text
    if needed := dose.get("asNeededBoolean"):
        found["asNeeded"] = needed.truth()
    timing = dose.get("timing")
    repeat = timing.get("repeat") if timing else None
    for element in ("frequency", "period"):
        if repeat and (number := repeat.get(element)):
            found[element] = number.number()
    if repeat and (unit := repeat.get("periodUnit")):
        found["periodUnit"] = unit.code()
    rate = dose.first("doseAndRate")
    if rate and (amount := rate.get("doseQuantity")):
        found["dose"] = quantity(amount)
    return found


def _observation(_bundle: Bundle, resource: Node) -> tuple[Mapping[str, Any], Content]:
    status = resource.need("status").one_of(_OBSERVATIONS)
    code = coding(resource.need("code"))
    _refuse_unfinished(status)
    content: Content = {"status": status, **_moments(resource, {"effective": "effectiveDateTime"})}
    if during := resource.get("effectivePeriod"):
        content["effective"] = period(during)
    if kinds := [_word(concept) for concept in resource.each("category")]:
        content["category"] = kinds
    content |= _value(resource)
    parts = [{"code": coding(p.need("code")), **_value(p)} for p in resource.each("component")]
    return code, content | ({"component": parts} if parts else {})


_VALUES: Final[Mapping[str, Callable[[Node], Content]]] = {
    "valueQuantity": lambda node: dict(quantity(node)),
    "valueCodeableConcept": lambda node: {"value": coding(node)},
    "valueString": lambda node: {"value": node.text(8000)},
    "valueBoolean": lambda node: {"value": node.truth()},
    "valueInteger": lambda node: {"value": node.number()},
    "valueDateTime": lambda node: {"value": node.moment()},
    "valuePeriod": lambda node: {"value": period(node)},
    "dataAbsentReason": lambda node: {"dataAbsentReason": coding(node)},
}


def _value(holder: Node) -> Content:
    found: Content = {}
    for element in holder.value:
        if element in _VALUES:
            found |= _VALUES[element](holder.need(element))
        elif element.startswith("value"):
            raise Unsupported("value is of a type that is not kept")
    return found


def _allergy(_bundle: Bundle, resource: Node) -> tuple[Mapping[str, Any], Content]:
    code = coding(resource.need("code"))
    content: Content = {}
    for element in ("clinicalStatus", "verificationStatus"):
        if concept := resource.get(element):
            content[element] = _word(concept)
    _refuse_unfinished(content.get("verificationStatus"))
    for element in ("type", "criticality"):
        if word := resource.get(element):
            content[element] = word.code()
    content |= _moments(resource, {"onset": "onsetDateTime", "recorded": "recordedDate"})
    reactions = [coding(m) for r in resource.each("reaction") for m in r.each("manifestation")]
    return code, content | ({"reaction": reactions} if reactions else {})


def _word(concept: Node) -> str:
    """Return the code of a CodeableConcept, or else its text."""
    found = coding(concept)
    return str(found.get("code", found["display"]))


def _moments(resource: Node, elements: Mapping[str, str]) -> Content:
    found = {ours: resource.get(theirs) for ours, theirs in elements.items()}
    return {ours: node.moment() for ours, node in found.items() if node}


def _refuse_unfinished(status: object) -> None:
    if status in _UNFINISHED:
        raise Unsupported(f"status is {status}")


Understand = Callable[[Bundle, Node], tuple[Mapping[str, Any], Content]]

KINDS: Final[Mapping[str, tuple[RecordKind, str, Understand]]] = {
    "Condition": (RecordKind.DIAGNOSIS, "subject", _condition),
    "MedicationRequest": (RecordKind.PRESCRIPTION, "subject", _request),
    "Observation": (RecordKind.OBSERVATION, "subject", _observation),
    "AllergyIntolerance": (RecordKind.ALLERGY, "patient", _allergy),
}
"""Which record a resource becomes, which element names its patient, and how it is understood."""
