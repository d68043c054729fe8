"""Formula to Python: one lambda a condition, compiled once, free of builtins."""

from collections.abc import Callable

from policies.facts import Environment, Resource, Subject
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

Closure = Callable[[Subject, Resource, Environment], bool]


def to_closure(formula: Formula) -> Closure:
    """Return `formula`, which must come out of `definitely`, as a function.

    The source is made of schema names and of literals the grammar has checked; the author of a rule
    puts no character of his own into it.
    """
    source = f"lambda sub, obj, env: {_source(formula)}"
    closure: Closure = eval(compile(source, "<condition>", "eval"), {"__builtins__": {}})  # noqa: S307  # nosec B307
    return closure


def _source(formula: Formula) -> str:  # noqa: PLR0911 one return a kind of node
    match formula:
        case Always(value):
            return repr(value)
        case AllOf(parts):
            return "(" + " and ".join(map(_source, parts)) + ")"
        case AnyOf(parts):
            return "(" + " or ".join(map(_source, parts)) + ")"
        case Flag(attr, expected):
            return f"{_operand(attr)} is {expected}"
        case Known(attr, expected):
            return f"{_operand(attr)} is {'not ' if expected else ''}None"
        case Same(left, right, expected):
            return f"{_operand(left)} {'==' if expected else '!='} {_operand(right)}"
        case Among(attr, words, expected):
            return f"{_operand(attr)} {'' if expected else 'not '}in {words!r}"
        case Holds(holder, member, expected):
            return f"{_operand(member)} {'' if expected else 'not '}in {_operand(holder)}"
        case Within(part, whole, expected):
            return f"{'' if expected else 'not '}({_operand(part)} <= {_operand(whole)})"


def _operand(operand: Attr | Literal) -> str:
    return repr(operand.value) if isinstance(operand, Literal) else f"{operand.root}.{operand.name}"
