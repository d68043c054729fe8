"""Small truths about conditions, by truth table: each leaf is a letter, and letters that contradict are left out.

What is found here is so; what is not found may be so all the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Final

from policies.formula import (
    AllOf,
    Always,
    Among,
    AnyOf,
    Attr,
    Flag,
    Formula,
    Known,
    Leaf,
    Literal,
    Same,
    attributes,
    leaves,
)

MOST_LETTERS: Final = 9
"""A table has at most 2^9 lines; what has more letters is left alone."""

Letter = tuple[Attr, str]
Line = Mapping[Letter, bool]


def implies(one: Formula, other: Formula) -> bool:
    """Tell whether `other` is certainly true wherever `one` is.

    Both are two-valued: they come out of `definitely`, or are the `negate` of what did.
    """
    letters = sorted(set(_letters(one)) | set(_letters(other)), key=repr)
    if len(letters) > MOST_LETTERS:
        return False
    return all(_true(other, line) for line in _lines(letters) if _true(one, line))


def impossible(formula: Formula) -> bool:
    """Tell whether `formula` is certainly never true."""
    return implies(formula, Always(value=False))


def _letters(formula: Formula) -> Iterator[Letter]:
    for leaf in leaves(formula):
        match leaf:
            case Known(attr):
                yield attr, "known"
            case Flag(attr):
                yield attr, "true"
            case Same(left, right):
                yield _pair(left, right)
            case Among(attr, words):
                yield from ((attr, f"= {word}") for word in words)
            case Always():
                pass
            case other:
                yield _whole(other)


def _whole(leaf: Leaf) -> Letter:
    """Return a leaf as one letter: nothing is known about what it says."""
    return attributes(leaf)[0], repr(replace(leaf, expected=True))


def _pair(left: Attr | Literal, right: Attr | Literal) -> Letter:
    if isinstance(left, Literal):
        left, right = right, left
    assert isinstance(left, Attr)
    if isinstance(right, Literal):
        return left, f"= {right.value}"
    first, second = sorted((left, right), key=repr)
    return first, f"is {second.root}.{second.name}"


def _lines(letters: list[Letter]) -> Iterator[Line]:
    for values in product((True, False), repeat=len(letters)):
        line = dict(zip(letters, values, strict=True))
        words = [attr for (attr, said), true in line.items() if true and said.startswith("= ")]
        if len(words) == len(set(words)):  # no attribute has two values at once
            yield line


def _true(formula: Formula, line: Line) -> bool:  # noqa: PLR0911 one return a kind of node
    match formula:
        case Always(value):
            return value
        case AllOf(parts):
            return all(_true(part, line) for part in parts)
        case AnyOf(parts):
            return any(_true(part, line) for part in parts)
        case Known(attr, expected):
            return line[attr, "known"] is expected
        case Flag(attr, expected):
            return line[attr, "true"] is expected
        case Same(left, right, expected):
            return line[_pair(left, right)] is expected
        case Among(attr, words, expected):
            return any(line[attr, f"= {word}"] for word in words) is expected
        case other:
            return line[_whole(other)] is other.expected
