"""What every table shares: constraint names, ids, times, and how a column is declared to hold PHI.

Table classes skip validation (SQLModel, `table=True`): they are built from checked values, never
from a request body. They are written with `add()`, in the order given, and read by `Query`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import groupby
from typing import Any, ClassVar, Protocol
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Delete,
    ForeignKeyConstraint,
    Insert,
    Table,
    Text,
    Update,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from core.clock import now
from core.crypto.sealed import Sealed
from core.database_errors import translated
from core.errors import NotFound, PreconditionFailed
from core.ids import new_id
from records.anchors import Anchored, wrote

metadata = SQLModel.metadata
metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(SQLModel):
    """A table row with a UUIDv7 made here, so that the id exists before the row does."""

    model_config = {"arbitrary_types_allowed": True}

    id: UUID = Field(default_factory=new_id, primary_key=True)


@dataclass(frozen=True, slots=True)
class Searchable:
    """A blind index over sealed values: `parts` of a row's opened values become keyed tokens.

    An index over nearly unique values has `bits` enough to tell them apart: equal tokens say little. One that
    `blurs`, because some of its values are common, gets its bits from the planner, at most these: many values share
    a token. `keyspace` is how many bits of difference the values themselves have.
    """

    name: str
    meaning: str
    columns: tuple[str, ...]
    parts: Callable[[Mapping[str, Any]], Iterable[tuple[str, ...]]]
    bits: int
    keyspace: float
    blurs: bool = False


class Protected(Row, Anchored):
    """A row that holds PHI of one patient, every cell of it sealed under one key of that patient.

    `resource` names the column with the id that a Permit must cover: a version of a record is
    opened by a Permit for the record. `searchable` are its blind indexes.
    """

    resource: ClassVar[str] = "id"
    searchable: ClassVar[tuple[Searchable, ...]] = ()

    patient_id: UUID
    key_id: int = Field(sa_type=BigInteger)


class Executor(Protocol):
    """What can run a statement: a session or a connection."""

    async def execute(self, statement: Any, parameters: Any = None, /) -> Any: ...


async def add(session: Executor, *rows: SQLModel) -> None:
    """Insert rows in the order given, neighbours of one table in one statement.

    Raises Conflict, coded by the constraint's name, when a row breaks one.
    """
    for kind, group in groupby(rows, key=type):
        columns = [c.name for c in table_of(kind).columns if c.computed is None]
        values = [{c: getattr(row, c) for c in columns} for row in group]
        with translated():
            await session.execute(_insertion(kind), values)
        wrote(session, table_of(kind), values)


async def rewrite(
    session: Executor, statement: Update | Delete, given: Any = None
) -> Sequence[Mapping[str, Any]]:
    """Run an UPDATE or DELETE, anchored if its table is; return the rows as they then are, or last were."""
    table, gone = statement.table, isinstance(statement, Delete)
    assert isinstance(table, Table)
    if isinstance(statement, Update) and "edition" in table.columns:
        statement = statement.values(edition=table.c.edition + 1)
    statement = statement.execution_options(synchronize_session=False)
    found = await session.execute(statement.returning(*table.c), given)
    rows: Sequence[Mapping[str, Any]] = found.mappings().all()
    wrote(session, table, rows, gone=gone)
    return rows


@cache
def _insertion(kind: type[SQLModel]) -> Insert:
    """Return the INSERT of a table: of the table itself, since the ORM's way costs twice as much."""
    return insert(table_of(kind))


async def revise(
    session: Executor, kind: type[SQLModel], row_id: UUID, version: int | None, **values: Any
) -> Mapping[str, Any]:
    """Change a row that is still at `version` (None: at any); return it as it then is.

    Raises NotFound, or PreconditionFailed when somebody else was faster.
    """
    table = table_of(kind)
    change = update(table).where(table.c.id == row_id)
    if version is not None:
        change = change.where(table.c.version == version)
    change = change.values(**values, version=table.c.version + 1).returning(*table.c)
    with translated():
        row: Mapping[str, Any] | None = (await session.execute(change)).mappings().first()
    if row is None:
        there = await session.execute(select(table.c.id).where(table.c.id == row_id))
        if there.first() is None:
            raise NotFound(f"there is no such {table.name.replace('_', ' ')}")
        raise PreconditionFailed("it has changed since you read it")
    return row


@cache
def table_of(kind: type[SQLModel]) -> Table:
    """Return the table behind a table class."""
    table = inspect(kind).local_table
    assert isinstance(table, Table)
    return table


@cache
def phi_columns(kind: type[SQLModel]) -> tuple[Column[Any], ...]:
    """Return the columns of a table class that hold PHI."""
    return tuple(c for c in table_of(kind).columns if c.info.get("phi"))


@cache
def phi_names(kind: type[SQLModel]) -> tuple[str, ...]:
    """Return the names of these columns."""
    return tuple(column.name for column in phi_columns(kind))


def phi(*, nullable: bool = False, padded: bool = False) -> Any:
    """Declare a PHI column: ciphertext only. `padded` hides the length of short coded values."""
    info = {"phi": True, "padded": padded}
    return Field(default=None, sa_type=Sealed, nullable=nullable, sa_column_kwargs={"info": info})


def moment(*, nullable: bool = False, default: bool = False) -> Any:
    """Declare an instant: timestamptz; aware, UTC."""
    if default:
        return Field(default_factory=now, sa_type=DateTime(timezone=True), nullable=False)
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=nullable)


def word(default: Any = ..., **options: Any) -> Any:
    """Declare a short code: text. A `one_of` constraint closes the set."""
    return Field(default, sa_type=Text, **options)


def codes() -> Any:
    """Declare a list of short codes: text[]."""
    return Field(default_factory=list, sa_type=ARRAY(Text), nullable=False)


def one_of(column: str, allowed: type[StrEnum]) -> CheckConstraint:
    """Constrain a column to the codes of a StrEnum."""
    return CheckConstraint(f"{column} IN ({_listed(allowed)})", name=column)


def all_of(column: str, allowed: Iterable[StrEnum]) -> CheckConstraint:
    """Constrain a text[] column to codes of a StrEnum, or of several."""
    return CheckConstraint(f"{column} <@ ARRAY[{_listed(allowed)}]", name=column)


def sealed_by() -> ForeignKeyConstraint:
    """Constrain a row's key to be one of its own patient's: another's cannot even be named."""
    return ForeignKeyConstraint(
        ["key_id", "patient_id"],
        ["patient_key.key_id", "patient_key.patient_id"],
        name=None,
    )


def _listed(allowed: Iterable[StrEnum]) -> str:
    return ", ".join(f"'{item.value}'" for item in allowed)
