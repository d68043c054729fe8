"""What a broken constraint means to whoever broke it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlmodel import SQLModel

from core.database_errors import translated
from core.errors import Conflict, DomainError, FieldError, Invalid
from records.base import table_of


@contextmanager
def fitting(kind: type[SQLModel]) -> Iterator[None]:
    """Turn a reference to nothing, or fields that do not go together, into Invalid that points at the field."""
    name = table_of(kind).name.replace("_", "-")
    try:
        yield
    except Conflict as conflict:
        rule, _, field = conflict.code.partition(f"-{name}-")
        if not field or rule not in _BROKEN:
            raise
        fault = FieldError("/" + _MEANT.get(field, field.replace("-", "_")), *_BROKEN[rule])
        raise Invalid(errors=[fault]) from None


_MEANT = {
    "order": "end",
    "validity": "valid_until",
    "appointment-id-patient-id": "appointment_id",
}
"""The field that breaks a rule between two."""
_BROKEN = {
    "fk": ("unknown", "there is no such thing"),
    "ck": ("rule", "this does not go with the other fields"),
}


@contextmanager
def meaning(refusal: DomainError, *broken: str) -> Iterator[None]:
    """Refuse with this where one of these constraints, by its code, is broken: it says what that means here."""
    try:
        with translated():
            yield
    except Conflict as conflict:
        if conflict.code not in broken:
            raise
        raise refusal from None
