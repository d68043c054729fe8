"""Lists: a SELECT with the policy's own WHERE, compiled once for each caller and version of the rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import BigInteger, ColumnElement, Select, and_, bindparam, false, select

from core.database import Query
from policies.enforcer import PolicySnapshot
from policies.facts import Environment, Subject
from policies.scopes import Reach
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking

LAST: Final = UUID(int=2**128 - 1)
BEFORE: Final[ColumnElement[UUID]] = bindparam("before", type_=PGUUID())
LIMIT: Final[ColumnElement[int]] = bindparam("limit", type_=BigInteger())
USUAL: Final = 21
"""Rows that a page of twenty asks for. Nearly all do, and a plan for so few is another than one for any number."""


@dataclass(frozen=True, eq=False, slots=True)
class Listing:
    """Rows of a kind, newest first. `facts` says in which column of the statement stands what a rule may ask of a row.

    The statement has the parameter BEFORE, those of the relations, and its own.
    """

    kind: ResourceType
    facts: Mapping[str, str]
    statement: Select[Any]


def allowed(
    snapshot: PolicySnapshot,
    subject: Subject,
    environment: Environment,
    reach: Reach,
    kind: ResourceType,
    columns: Mapping[str, ColumnElement[Any]],
) -> ColumnElement[bool]:
    """Return the WHERE of what the policy lets somebody read, as far as their token reaches."""
    policy = snapshot.predicate(subject, Action.READ, kind, environment, columns)
    if reach is Reach.ALL:
        return policy
    own = subject.patient_id
    if reach is Reach.NONE or own is None or "patient_id" not in columns:
        return false()
    return and_(policy, columns["patient_id"] == own)


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
    """Return the query of what a caller may read of a listing; of so many that PostgreSQL plans for them, or of LIMIT.

    The rules look at the columns of rows already found, so that a relation is asked once a row however many rules name
    it. OFFSET 0 keeps PostgreSQL from putting the question back in the place of each answer. A sort around it would
    make it plan for all rows, and sort them; they come in the order in which they were found.
    """
    found = listing.statement.offset(0).subquery("found")
    columns = {name: found.c[column] for name, column in listing.facts.items()}
    shown = allowed(snapshot, subject, environment, reach, listing.kind, columns)
    return Query(select(found).where(shown).limit(USUAL if usual else LIMIT))


def page(me: Me, limit: int, after: UUID | None) -> Mapping[str, Any]:
    """Return the parameters of a page, with one row more than is shown: it tells whether another follows."""
    return {"before": after or LAST, "limit": limit + 1, **asking(me)}
