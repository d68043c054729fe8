from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    create_engine,
    insert,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from core.crypto.envelope import Cell, DataKey, Place
from core.crypto.sealed import PlaintextError, Sealed

CANARY = "canary-plaintext"
CELL = DataKey(7, 1, bytes(32)).seal(Place("t", "note", UUID(int=1), UUID(int=2)), CANARY)
TABLE = Table(
    "t",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("note", Sealed),
    Column("plan", Sealed),
)
NOTE = TABLE.c.note


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        TABLE.metadata.create_all(connection)
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    "plain",
    [CANARY, CANARY.encode(), bytearray(CELL), bytes(CELL), 1, True],
    ids=lambda value: type(value).__name__,
)
def test_a_sealed_column_takes_no_plain_value_and_does_not_repeat_it(
    connection: Connection, plain: object
):
    with pytest.raises(PlaintextError) as refusal:
        connection.execute(insert(TABLE).values(id=1, note=plain))
    assert isinstance(refusal.value, TypeError)
    assert str(refusal.value) == f"a Sealed column takes a Cell, not {type(plain).__name__}"
    assert refusal.value.__context__ is None


@pytest.mark.parametrize(
    "compare",
    [
        lambda: NOTE == CANARY,
        lambda: CANARY == NOTE,
        lambda: NOTE != CANARY,
        lambda: bytes(CELL) == NOTE,
        lambda: TABLE.c.plan == NOTE,
        lambda: NOTE.is_(CANARY),
        lambda: NOTE < CELL,
        lambda: NOTE >= CELL,
        lambda: NOTE.like("c%"),
        lambda: NOTE.ilike("c%"),
        lambda: NOTE.contains(CANARY),
        lambda: NOTE.startswith(CANARY),
        lambda: NOTE.regexp_match("c"),
        lambda: NOTE.between(CELL, CELL),
        lambda: NOTE.in_([CANARY]),
        lambda: NOTE.not_in([CELL]),
        NOTE.desc,
        NOTE.distinct,
        lambda: NOTE + CANARY,
        lambda: CANARY + NOTE,
        lambda: NOTE.concat(CANARY),
        lambda: NOTE[0],
    ],
)
def test_a_comparison_ciphertext_cannot_answer_is_refused_as_the_statement_is_built(
    compare: Callable[[], object],
):
    with pytest.raises(PlaintextError) as refusal:
        compare()
    assert str(refusal.value) == "a Sealed column compares with NULL or a Cell only"


@pytest.mark.parametrize(
    "statement", [select(TABLE).where(NOTE == CELL), select(literal(CANARY, Sealed))]
)
def test_a_cell_is_never_rendered_into_a_statement(statement: Any):
    with pytest.raises(PlaintextError, match="never rendered"):
        statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})


def test_a_cell_comes_back_as_a_cell_and_null_as_none(connection: Connection):
    connection.execute(insert(TABLE), [{"id": 1, "note": CELL}, {"id": 2, "note": None}])
    first, second = connection.scalars(select(NOTE).order_by(TABLE.c.id))
    assert (type(first), first, second) == (Cell, CELL, None)


def test_whether_a_cell_is_there_can_be_asked(connection: Connection):
    connection.execute(insert(TABLE), [{"id": 1, "note": CELL}, {"id": 2, "note": None}])
    rules = [NOTE.is_not(None), NOTE != None, NOTE == None, NOTE.is_(None), NOTE.is_(null())]  # noqa: E711
    assert [connection.scalar(select(TABLE.c.id).where(rule)) for rule in rules] == [1, 1, 2, 2, 2]


def test_a_cell_is_swapped_only_for_the_very_bytes_it_was(connection: Connection):
    connection.execute(insert(TABLE).values(id=1, note=CELL))
    swap = update(TABLE).values(note=None)
    assert connection.execute(swap.where(Cell(bytes(80)) == NOTE)).rowcount == 0
    assert connection.execute(swap.where(CELL == NOTE)).rowcount == 1


def test_the_column_is_bytea_in_postgresql():
    assert str(Sealed().compile(dialect=postgresql.dialect())) == "BYTEA"
