"""Statements with their own words and numbers written out, rather than bound.

PostgreSQL plans a prepared statement once, for any values of its parameters. A state that is always the same must not be one
of them: the plan would be for a state that few rows have, or all. Only plain words are written; whatever else is a value.
"""

import re
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import BindParameter, Integer, Interval, String, literal_column
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.visitors import replacement_traverse

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./ -]*")


def spelled_out(statement: ClauseElement) -> ClauseElement:
    """Return a statement with its constants in its text; what has a name stays a parameter."""
    written: Any = replacement_traverse(statement, {}, _written)
    return written  # type: ignore[no-any-return]


def _written(element: Any, **_: Any) -> Any:
    if isinstance(element, BindParameter) and element.unique:
        text = _text(element.value, element.type)
        return None if text is None else literal_column(text, element.type)
    return None


def _text(value: object, kind: object) -> str | None:
    if isinstance(kind, String) and isinstance(value, str) and _PLAIN.fullmatch(value):
        return f"'{value}'"
    if isinstance(kind, Integer) and type(value) is int:
        return str(value)
    if isinstance(kind, Interval) and isinstance(value, timedelta):
        return f"interval '{value.total_seconds()} seconds'"
    return None
