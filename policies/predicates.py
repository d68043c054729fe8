"""Formula to SQL: the same condition as a WHERE, for a given subject, over columns the caller names."""

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import ColumnElement, Exists, Text, all_, and_, any_, false, literal, or_, true
from sqlalchemy.dialects.postgresql import ARRAY

from policies.facts import Environment, Subject
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

Columns = Mapping[str, ColumnElement[Any]]
"""Attribute of `r.obj` -> column, or EXISTS for a relation. Comparison must be binary (no CHAR(n), no
case-folding collation), or a list and a point decision part ways."""


def to_predicate(
    formula: Formula, subject: Subject, environment: Environment, columns: Columns
) -> ColumnElement[bool]:
    """Return `formula`, which must come out of `definitely`, as SQL that is never NULL.

    Facts of the subject become bound values; a part about them alone is decided here. Raises LookupError
    when `columns` lacks an attribute the condition names.
    """
    return _Writer(subject, environment, columns).write(formula)


class _Writer:
    def __init__(self, subject: Subject, environment: Environment, columns: Columns) -> None:
        self._facts = {"sub": subject, "env": environment}
        self._columns = columns

    def write(self, formula: Formula) -> ColumnElement[bool]:  # noqa: PLR0911 one a kind of node
        match formula:
            case AllOf(parts):
                return and_(true(), *map(self.write, parts))
            case AnyOf(parts):
                return or_(false(), *map(self.write, parts))
            case Always(value):
                return _decided(value)
            case Known(attr, expected):
                return self._known(self._value(attr), expected)
            case Flag(attr, expected):
                return _either(self._value(attr), expected)
            case Same(left, right, expected):
                return self._same(self._value(left), self._value(right), expected)
            case Among(attr, words, expected):
                return self._among(self._value(attr), words, expected)
            case Holds(holder, member, expected):
                return _either(_holds(self._value(holder), self._value(member)), expected)
            case Within(part, whole, expected):
                return _either(_within(self._value(part), self._value(whole)), expected)

    def _value(self, operand: Attr | Literal) -> Any:
        if isinstance(operand, Literal):
            return operand.value
        if operand.root != "obj":
            return getattr(self._facts[operand.root], operand.name)
        if operand.name not in self._columns:
            raise LookupError(f"no column for r.obj.{operand.name}")
        return self._columns[operand.name]

    def _known(self, value: Any, expected: bool) -> ColumnElement[bool]:
        match value:
            case Exists():  # never NULL; asking would make the database run it twice
                return _decided(expected)
            case ColumnElement():
                return value.is_not(None) if expected else value.is_(None)
            case _:
                return _decided((value is not None) is expected)

    def _same(self, left: Any, right: Any, expected: bool) -> ColumnElement[bool]:
        if not isinstance(left, ColumnElement):
            left, right = right, left
        if not isinstance(left, ColumnElement):
            return _decided((left == right) is expected)
        return cast("ColumnElement[bool]", left == right if expected else left != right)

    def _among(self, value: Any, words: tuple[str, ...], expected: bool) -> ColumnElement[bool]:
        if not isinstance(value, ColumnElement):
            return _decided((value in words) is expected)
        listed = _set(words)  # an array: a Query cannot hold an IN list
        return value == any_(listed) if expected else value != all_(listed)


def _holds(holder: Any, member: Any) -> Any:
    """Return whether a set holds a member: decided here where both are facts of the subject."""
    if not isinstance(holder, ColumnElement) and not isinstance(member, ColumnElement):
        return member in holder
    return _member(member) == any_(_set(holder))


def _within(part: Any, whole: Any) -> Any:
    if not isinstance(part, ColumnElement) and not isinstance(whole, ColumnElement):
        return part <= whole
    return _set(part).contained_by(_set(whole))


def _member(member: Any) -> ColumnElement[Any]:
    return member if isinstance(member, ColumnElement) else literal(member, Text())


def _set(values: Any) -> ColumnElement[Any]:
    return values if isinstance(values, ColumnElement) else literal(sorted(values), ARRAY(Text))


def _either(value: Any, expected: bool) -> ColumnElement[bool]:
    if not isinstance(value, ColumnElement):
        return _decided(value is expected)
    return cast("ColumnElement[bool]", value if expected else ~value)


def _decided(value: bool) -> ColumnElement[bool]:
    return true() if value else false()
