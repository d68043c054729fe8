"""A formula as the text of a condition again: for explanations, which tell parts of rules and no values."""

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


def as_text(formula: Formula) -> str:  # noqa: PLR0911 - one a kind of node
    """Return a condition that parses to `formula`."""
    match formula:
        case Always(value):
            return str(value)
        case AllOf(parts):
            return " and ".join(map(_inner, parts))
        case AnyOf(parts):
            return " or ".join(map(_inner, parts))
        case Flag(attr, expected):
            return f"{_not(expected)}{_side(attr)}"
        case Known(attr, expected):
            return f"{_side(attr)} is {_not(not expected)}None"
        case Same(left, right, expected):
            return f"{_side(left)} {'==' if expected else '!='} {_side(right)}"
        case Among(attr, words, expected):
            return f"{_side(attr)} {_not(expected)}in {list(words)!r}"
        case Holds(holder, member, expected):
            return f"{_side(member)} {_not(expected)}in {_side(holder)}"
        case Within(part, whole, expected):
            return f"{_not(expected)}{_side(part)} <= {_side(whole)}"


def _not(expected: bool) -> str:
    return "" if expected else "not "


def _inner(formula: Formula) -> str:
    text = as_text(formula)
    return f"({text})" if isinstance(formula, AllOf | AnyOf) else text


def _side(operand: Attr | Literal) -> str:
    return (
        repr(operand.value) if isinstance(operand, Literal) else f"r.{operand.root}.{operand.name}"
    )
