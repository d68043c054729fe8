"""The column type of sealed values: only a Cell goes in, only a Cell comes out."""

from typing import Any, Final, NoReturn

from sqlalchemy import ColumnElement, Dialect, LargeBinary, Null
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.sql.operators import OperatorType, eq, is_, is_not, ne
from sqlalchemy.types import TypeDecorator

from core.crypto.envelope import Cell

_COMPARABLE: Final = {eq, ne, is_, is_not}


class PlaintextError(TypeError, DontWrapMixin):
    """A plain value met a sealed column. SQLAlchemy does not wrap it: that would print parameters."""


class Sealed(TypeDecorator[Cell]):
    """LargeBinary that refuses plain values, literals, and comparisons that ciphertext cannot answer."""

    impl = LargeBinary
    cache_ok = True

    class Comparator(TypeDecorator.Comparator[Cell]):
        """Is it null; is it byte for byte this very Cell (compare-and-swap). Nothing else."""

        __slots__ = ()

        def operate(self, op: OperatorType, *other: Any, **kwargs: Any) -> ColumnElement[Any]:
            if op not in _COMPARABLE or not all(map(_is_opaque, other)):
                raise PlaintextError("a Sealed column compares with NULL or a Cell only")
            return super().operate(op, *other, **kwargs)

        def reverse_operate(
            self, op: OperatorType, other: Any, **kwargs: Any
        ) -> ColumnElement[Any]:
            return self.operate(op, other, **kwargs)

    comparator_factory = Comparator

    def process_bind_param(self, value: Cell | None, _dialect: Dialect) -> Cell | None:
        if value is None or isinstance(value, Cell):
            return value
        raise PlaintextError(f"a Sealed column takes a Cell, not {type(value).__name__}")

    def literal_processor(self, _dialect: Dialect) -> NoReturn:
        """Refuse before there is a value: SQLAlchemy quotes the one a processor refuses."""
        raise PlaintextError("a Sealed column is never rendered into a statement")

    def process_result_value(self, value: Any, _dialect: Dialect) -> Cell | None:
        return None if value is None else Cell(value)


def _is_opaque(value: object) -> bool:
    return value is None or isinstance(value, Cell | Null)
