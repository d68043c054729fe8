"""FHIR data types as a clinic keeps them: names, addresses, codes, quantities, labels."""

from collections.abc import Mapping
from typing import Any, Final

from policies.vocabulary import Category, Sensitivity
from records.fhir.node import Node

_CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_LEVELS: Final = {
    "U": Sensitivity.NORMAL,
    "L": Sensitivity.NORMAL,
    "M": Sensitivity.NORMAL,
    "N": Sensitivity.NORMAL,
    "R": Sensitivity.RESTRICTED,
    "V": Sensitivity.VERY_RESTRICTED,
}
_USES: Final = frozenset(
    {
        "usual", "official", "home", "work", "mobile", "temp", "nickname", "maiden", "secondary",
        "old",
    }
)  # fmt: skip
_RISING: Final = tuple(Sensitivity)


def coding(concept: Node) -> Mapping[str, Any]:
    """Return a CodeableConcept as `{system, code, display}`; it has a code, a text or both."""
    first = concept.first("coding")
    found: dict[str, Any] = {}
    if first:
        if system := first.get("system"):
            found["system"] = system.uri()
        if code := first.get("code"):
            found["code"] = code.code()
    display = concept.optional("text") or (first.optional("display") if first else None)
    display = display or found.get("code")
    if not display:
        raise concept.broken("required")
    return {**found, "display": display}


def quantity(node: Node) -> Mapping[str, Any]:
    """Return a Quantity as `{value, unit}`."""
    found: dict[str, Any] = {"value": node.need("value").number()}
    if unit := node.optional("unit", 100) or node.optional("code", 100):
        found["unit"] = unit
    return found


def period(node: Node) -> Mapping[str, Any]:
    """Return a Period as it is written."""
    ends = {end: node.get(end) for end in ("start", "end")}
    return {end: found.moment() for end, found in ends.items() if found}


def human_name(node: Node) -> Mapping[str, Any]:
    """Return a HumanName as `{family, given, prefix?, suffix?}`; several given names are parted by blanks."""
    given = " ".join(part.text(100) for part in node.each("given"))
    if not given:
        raise node.need("given").broken("required")
    found: dict[str, Any] = {"family": node.need("family").text(100), "given": given}
    for part in ("prefix", "suffix"):
        if words := " ".join(word.text(50) for word in node.each(part)):
            found[part] = words
    return found


def address(node: Node) -> Mapping[str, Any]:
    """Return an Address as `{line, city, state, postal_code, country}`, without what is not given."""
    found: dict[str, Any] = {"line": [line.text(200) for line in node.each("line")]}
    for ours, theirs in {
        "city": "city",
        "state": "state",
        "postal_code": "postalCode",
        "country": "country",
    }.items():
        if word := node.optional(theirs, 200):
            found[ours] = word
    return found


def telecoms(resource: Node, system: str) -> list[Mapping[str, Any]]:
    """Return the ContactPoints of a system (`phone`, `email`) as `{value, use?}`."""
    return [
        {"value": point.need("value").text(254), **use(point)}
        for point in resource.each("telecom")
        if (of := point.get("system")) and of.value == system and point.get("value")
    ]


def telecom(resource: Node, system: str) -> str | None:
    """Return the first ContactPoint of a system."""
    return next((str(point["value"]) for point in telecoms(resource, system)), None)


def use(node: Node) -> dict[str, str]:
    """Return what a name, an address or a number is for as `{use}`; nothing where it does not say, or we have no word."""
    said = node.get("use")
    return {"use": said.value} if said and said.value in _USES else {}


def categories(resource: Node) -> frozenset[Category]:
    """Return the categories among the security labels of a resource."""
    meta = resource.get("meta")
    labels = meta.each("security") if meta else ()
    codes = {label.need("code").code() for label in labels if label.get("code")}
    return frozenset(category for category in Category if category in codes)


def sensitivity(resource: Node) -> Sensitivity:
    """Return how sensitive a resource is by its security labels; none is normal.

    A label of another system (psychiatry, HIV, substance use …) is at least restricted.
    """
    meta = resource.get("meta")
    levels = [Sensitivity.NORMAL]
    for label in meta.each("security") if meta else ():
        if label.need("system").uri() == _CONFIDENTIALITY:
            levels.append(_LEVELS[label.need("code").one_of(_LEVELS)])
        else:
            levels.append(Sensitivity.RESTRICTED)
    return max(levels, key=_RISING.index)
