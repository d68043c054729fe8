"""A condition in words, for people who do not read code."""

from typing import Final

from policies.formula import (
    AllOf,
    Always,
    Among,
    AnyOf,
    Attr,
    Flag,
    Formula,
    Holds,
    Known,
    Literal,
    Same,
    Within,
)

_NAMES: Final = {
    ("sub", "id"): "the caller",
    ("sub", "doctor_id"): "the caller",
    ("sub", "patient_id"): "the caller",
    ("env", "purpose"): "the purpose of use",
    ("obj", "id"): "it",
    ("obj", "patient_id"): "the patient it is about",
    ("obj", "author_id"): "its author",
    ("obj", "doctor_id"): "its doctor",
    ("obj", "status"): "its status",
    ("obj", "kind"): "its kind",
    ("obj", "sensitivity"): "its sensitivity",
    ("obj", "categories"): "its categories",
    ("obj", "department"): "its department",
    ("sub", "department"): "the caller's department",
    ("sub", "clearances"): "the caller's clearances",
}
_FLAGS: Final = {
    ("in_care_team", True): "the caller treats the patient",
    ("in_care_team", False): "the caller does not treat the patient",
    ("own_appointment", True): "the caller has an appointment with the patient",
    ("own_appointment", False): "the caller has no appointment with the patient",
    ("consent_granted", True): "the patient lets the caller in by name",
    ("consent_granted", False): "the patient does not let the caller in by name",
    ("consent_denied", True): "the patient forbids it",
    ("consent_denied", False): "the patient does not forbid it",
    ("break_glass", True): "the caller has broken the glass for the patient",
    ("break_glass", False): "the caller has not broken the glass for the patient",
    ("on_shift", True): "the caller is on duty",
    ("on_shift", False): "the caller is off duty",
    ("proxied", True): "the caller stands in for the patient",
    ("proxied", False): "the caller does not stand in for the patient",
}


def in_words(formula: Formula) -> str:  # noqa: PLR0911 - one a kind of node
    """Return a condition as a sentence without a full stop."""
    match formula:
        case Always(value):
            return "always" if value else "never"
        case AllOf(parts):
            return " and ".join(map(_part, parts))
        case AnyOf(parts):
            return " or ".join(map(in_words, parts))
        case Flag(attr, expected):
            return _FLAGS[attr.name, expected]
        case Known(attr, expected):
            return f"{_name(attr)} is {'known' if expected else 'not known'}"
        case Same(left, right, expected):
            return f"{_name(left)} is {'' if expected else 'not '}{_name(right)}"
        case Among(attr, words, expected):
            return f"{_name(attr)} is {'' if expected else 'not '}one of {', '.join(words)}"
        case Holds(holder, member, expected):
            return f"{_name(member)} is {'' if expected else 'not '}among {_name(holder)}"
        case Within(part, whole, expected):
            return f"{_name(part)} are {'' if expected else 'not '}all among {_name(whole)}"


def _part(formula: Formula) -> str:
    return f"({in_words(formula)})" if isinstance(formula, AnyOf) else in_words(formula)


def _name(operand: Attr | Literal) -> str:
    if isinstance(operand, Literal):
        return operand.value
    return _NAMES[operand.root, operand.name]
