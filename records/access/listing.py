"""Lists: rows in their order, those kept that the policy lets the caller read, compiled once for each caller and version of the rules."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import (
    BigInteger,
    ColumnClause,
    ColumnElement,
    Label,
    Select,
    bindparam,
    false,
    select,
)

from core.database import Query
from policies.enforcer import PolicySnapshot
from policies.facts import Environment, Subject
from policies.scopes import Reach
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking

FIRST: Final = UUID(int=0)
LAST: Final = UUID(int=2**128 - 1)
BEFORE: Final[ColumnElement[UUID]] = bindparam("before", type_=PGUUID())
AFTER: Final[ColumnElement[UUID]] = bindparam("after", type_=PGUUID())
LIMIT: Final[ColumnElement[int]] = bindparam("limit", type_=BigInteger())
USUAL: Final = 21
"""Rows that a page of twenty asks for. Nearly all do, and a plan for so few is another than one for any number."""
_WHOSE: Final = {"patient_id": "person_id"}
"""Where a fact has another name in a row: a row's own `patient_id` is the one that it was sealed for."""

Row = TypeVar("Row", bound=Mapping[str, Any])
Facts = Callable[[Any], Mapping[str, ColumnElement[Any]]]
"""What a rule may ask of a row, by name, given the columns of the row."""


@dataclass(frozen=True, eq=False, slots=True)
class Listing:
    """Sealed rows of a kind, in the order of the list and without an end, and what a rule may ask of them.

    The parameters of `rows` are BEFORE or AFTER, and its own.
    """

    kind: ResourceType
    rows: Select[Any]
    facts: Facts


def with_facts(rows: Select[Any], facts: Facts) -> Select[Any]:
    """Return rows with every fact that is not itself a column of theirs."""
    return rows.add_columns(*labelled(facts(rows.selected_columns)))


def labelled(facts: Mapping[str, ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """Return what has to be worked out of the columns of a row, under the names it has there."""
    return [fact.label(_in_row(name)) for name, fact in facts.items() if not _plain(fact)]


def shown(
    snapshot: PolicySnapshot,
    subject: Subject,
    environment: Environment,
    reach: Reach,
    listing: Listing,
    limit: Any = None,
) -> Select[Any]:
    """Return, of a listing, the rows that the policy lets somebody read, as far as their token reaches.

    What the caller's rules ask is worked out first, once a row however many rules name it; OFFSET 0 keeps PostgreSQL from
    putting the question back in the place of each answer. The other facts are worked out of the rows that are shown. A
    sort around it would make PostgreSQL plan for all rows, and sort them; they come in the order in which they were found.
    """
    asked = snapshot.asked(subject, Action.READ, listing.kind)
    facts = listing.facts(listing.rows.selected_columns)
    early = {name: fact for name, fact in facts.items() if name in asked and not _plain(fact)}
    found = listing.rows.add_columns(*labelled(early)).offset(0).subquery("found")
    ready = {name: found.c[_in_row(name)] for name in early}
    columns = {"id": found.c.resource_id, **listing.facts(found.c), **ready}
    allowed = snapshot.predicate(subject, Action.READ, listing.kind, environment, columns)
    statement = select(found, *labelled(columns)).where(allowed).limit(limit)
    match reach:
        case Reach.ALL:
            return statement
        case Reach.OWN if subject.patient_id and "patient_id" in columns:
            return statement.where(columns["patient_id"] == subject.patient_id)
        case _:
            return statement.where(false())


@lru_cache(maxsize=4096)
def compiled(
    snapshot: PolicySnapshot,
    subject: Subject,
    environment: Environment,
    reach: Reach,
    listing: Listing,
    *,
    usual: bool,
) -> Query:
    """Return the query of what a caller may read of a listing; of so many that PostgreSQL plans for them, or of LIMIT."""
    limit = USUAL if usual else LIMIT
    return Query(shown(snapshot, subject, environment, reach, listing, limit))


def page(me: Me, limit: int, after: UUID | None) -> Mapping[str, Any]:
    """Return the parameters of a page, with one row more than is shown: it tells whether another follows."""
    return {"before": after or LAST, "after": after or FIRST, "limit": limit + 1, **asking(me)}


def cut(
    rows: Sequence[Row], limit: int, key: str = "resource_id"
) -> tuple[Sequence[Row], UUID | None]:
    """Return the rows of a page, and the id after which the next one starts, if one row more was found."""
    return rows[:limit], rows[limit - 1][key] if len(rows) > limit else None


def whole(me: Me, limit: int | None = None) -> Mapping[str, Any]:
    """Return the parameters of a list that has no pages: all of it, or so many rows."""
    return {"limit": limit, **asking(me)}


def _in_row(name: str) -> str:
    return _WHOSE.get(name, name)


def _plain(fact: ColumnElement[Any]) -> bool:
    return isinstance(fact, (ColumnClause, Label))
