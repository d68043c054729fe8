"""A condition as a value: negation stands only at the leaves, so "definitely true" needs AND and OR alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from policies.facts import Kind


@dataclass(frozen=True, slots=True)
class Attr:
    """`r.<root>.<name>`, whose kind the schema gave."""

    root: str
    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Literal:
    value: str


@dataclass(frozen=True, slots=True)
class Always:
    """True or False, written out."""

    value: bool


@dataclass(frozen=True, slots=True)
class Flag:
    """The attribute, a boolean, is `expected`."""

    attr: Attr
    expected: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """The attribute is not null; with `expected` False, that it is null."""

    attr: Attr
    expected: bool = True


@dataclass(frozen=True, slots=True)
class Same:
    left: Attr | Literal
    right: Attr | Literal
    expected: bool = True


@dataclass(frozen=True, slots=True)
class Among:
    attr: Attr
    words: tuple[str, ...]
    expected: bool = True


@dataclass(frozen=True, slots=True)
class Holds:
    """The set `holder` has `member` in it."""

    holder: Attr
    member: Attr | Literal
    expected: bool = True


@dataclass(frozen=True, slots=True)
class Within:
    """Everything in the set `part` is in the set `whole` as well."""

    part: Attr
    whole: Attr
    expected: bool = True


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: "tuple[Formula, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: "tuple[Formula, ...]"


Leaf = Flag | Known | Same | Among | Holds | Within
Formula = Always | Leaf | AllOf | AnyOf


def negate(formula: Formula) -> Formula:
    """Return NOT `formula`, pushed to the leaves (De Morgan)."""
    match formula:
        case Always(value):
            return Always(not value)
        case AllOf(parts):
            return AnyOf(tuple(negate(part) for part in parts))
        case AnyOf(parts):
            return AllOf(tuple(negate(part) for part in parts))
        case _:
            return replace(formula, expected=not formula.expected)


def definitely(formula: Formula) -> Formula:
    """Return a formula that two-valued logic finds true exactly where Kleene's finds `formula` true.

    Each leaf is guarded by "its attributes are known"; `Known` itself never is unknown. What comes out
    is for the compilers only: its guards make a later `negate` wrong.
    """
    match formula:
        case AllOf(parts):
            return AllOf(tuple(definitely(part) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(definitely(part) for part in parts))
        case Always() | Known():
            return formula
        case _:
            return AllOf((*(Known(attr) for attr in attributes(formula)), formula))


def attributes(leaf: Leaf) -> tuple[Attr, ...]:
    """Return the attributes a leaf looks at."""
    match leaf:
        case Same(left, right):
            return tuple(side for side in (left, right) if isinstance(side, Attr))
        case Holds(holder, member):
            return (holder, member) if isinstance(member, Attr) else (holder,)
        case Within(part, whole):
            return part, whole
        case _:
            return (leaf.attr,)


def leaves(formula: Formula) -> Iterator[Always | Leaf]:
    """Yield every leaf of a formula."""
    match formula:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case leaf:
            yield leaf


def mentioned(formula: Formula) -> Iterator[Attr]:
    """Yield every attribute that a formula looks at."""
    for leaf in leaves(formula):
        if not isinstance(leaf, Always):
            yield from attributes(leaf)
