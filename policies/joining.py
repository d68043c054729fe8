"""Conditions that differ in one word, as one that asks for any of the words.

A list asks every row what all rules say. Hundreds that speak of a department or a kind of note each become one search in an array.
"""

from collections import defaultdict
from collections.abc import Iterable

from policies.formula import AllOf, Always, Among, AnyOf, Attr, Formula, Known, Literal, Same

Whole = type[AllOf] | type[AnyOf]
Words = tuple[str, ...]


def any_of(formulas: Iterable[Formula]) -> list[Formula]:
    """Return formulas, rather fewer, one of which is true exactly where one of those given is."""
    return _joined(formulas, AllOf, among=True)


def all_of(formulas: Iterable[Formula]) -> list[Formula]:
    """Return formulas, rather fewer, all of which are true exactly where all of those given are."""
    return _joined(formulas, AnyOf, among=False)


def _joined(formulas: Iterable[Formula], whole: Whole, *, among: bool) -> list[Formula]:
    """Join, by one attribute after the other, what says "among these words" (or: not among) and else the same."""
    dual = AnyOf if whole is AllOf else AllOf
    found = list(dict.fromkeys(part for formula in formulas for part in _split(formula, dual)))
    said = (_said(part, among) for formula in found for part in _parts(formula, whole, among))
    for attr in dict.fromkeys(attr for attr, _ in filter(None, said)):
        found = _by(attr, found, whole, among)
    return found


def _split(formula: Formula, dual: Whole) -> tuple[Formula, ...]:
    """Return what may as well stand by itself: not a leaf, which needs its guard."""
    guarded = AllOf, AnyOf, Known, Always
    if isinstance(formula, dual) and all(isinstance(part, guarded) for part in formula.parts):
        return formula.parts
    return (formula,)


def _by(attr: Attr, formulas: Iterable[Formula], whole: Whole, among: bool) -> list[Formula]:
    alike: defaultdict[Formula | frozenset[Formula], dict[Formula, Words]] = defaultdict(dict)
    for formula in formulas:
        rest, words = _without(attr, formula, whole, among)
        alike[rest][formula] = words
    return [
        _one(attr, rest, same.values(), whole, among)
        if isinstance(rest, frozenset) and len(same) > 1
        else next(iter(same))
        for rest, same in alike.items()
    ]


def _without(
    attr: Attr, formula: Formula, whole: Whole, among: bool
) -> tuple[Formula | frozenset[Formula], Words]:
    """Return what a formula says besides of an attribute, and the words it says of that; or all of it, and none."""
    parts = _parts(formula, whole, among)
    for part in parts:
        said = _said(part, among)
        if said and said[0] == attr:
            return frozenset(parts) - {part}, said[1]
    return formula, ()


def _one(
    attr: Attr, rest: Iterable[Formula], said: Iterable[Words], whole: Whole, among: bool
) -> Formula:
    words = tuple(sorted({word for some in said for word in some}))
    return whole((AllOf((Known(attr), Among(attr, words, among))), *sorted(rest, key=repr)))


def _parts(formula: Formula, whole: Whole, among: bool) -> tuple[Formula, ...]:
    alone = _said(formula, among) or not isinstance(formula, whole)
    return (formula,) if alone else formula.parts  # type: ignore[union-attr]


def _said(part: Formula, among: bool) -> tuple[Attr, Words] | None:
    """Return the attribute and the words of "it is known, and (not) one of these"."""
    match part:
        case AllOf((Known(known, True), Same(Attr() as attr, Literal(word), expected))) | AllOf(
            (Known(known, True), Same(Literal(word), Attr() as attr, expected))
        ):
            words: Words = (word,)
        case AllOf((Known(known, True), Among(attr, words, expected))):
            pass
        case _:
            return None
    return (attr, words) if known == attr and expected is among else None
