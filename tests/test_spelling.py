"""What is always the same stands in a statement; what has a name, or is anything but a plain word, is bound."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Text, bindparam, column, func, literal, select
from sqlalchemy.dialects.postgresql import UUID as PGUUID

from core.database import Query

_state = column("state", Text())


def test_a_word_of_the_statement_is_no_parameter():
    query = Query(select(_state).where(_state != "destroyed").offset(0))
    assert "state != 'destroyed'" in query.sql
    assert "OFFSET 0" in query.sql
    assert query.arguments({}) == []


@pytest.mark.parametrize("value", ["it's", "a\\b", "x;--\n", "ä", "a%b", ":c", '"d"'])
def test_anything_but_a_plain_word_stays_a_value(value: str):
    query = Query(select(_state).where(_state == value))
    assert value not in query.sql
    assert query.arguments({}) == [value]


def test_what_has_a_name_stays_a_parameter_and_so_does_an_id():
    who = UUID(int=7)
    query = Query(
        select(_state).where(
            _state == bindparam("named", type_=Text()), column("id", PGUUID()) == who
        )
    )
    assert query.arguments({"named": "plain"}) == ["plain", who]


def test_a_span_of_time_is_written_as_seconds():
    query = Query(select(func.now() - literal(timedelta(days=90))))
    assert "interval '7776000.0 seconds'" in query.sql
