"""One text, two targets: the rows Casbin allows one by one are the rows of the WHERE, on PostgreSQL."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import product

import pytest
import pytest_asyncio
from hypothesis import given, settings
from sqlalchemy import Column, ColumnElement, Integer, MetaData, Table, exists, select, types
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from policies.clearance import LABELS
from policies.enforcer import PolicySnapshot
from policies.facts import Environment, Kind, Subject
from policies.rules import Rule, defaults
from policies.vocabulary import Action, Purpose, ResourceType, Role
from tests.random_policies import IDS, OBJ, ROWS, any_subject, environments, policies

SQL = {
    Kind.ID: types.Uuid(),
    Kind.TEXT: types.Text(),
    Kind.FLAG: types.Boolean(),
    Kind.SET: ARRAY(types.Text()),
}
TABLE = Table(
    "record_pool",
    MetaData(),
    Column("n", Integer, primary_key=True),
    *(Column(name, SQL[attribute.kind]) for name, attribute in OBJ.items()),
    prefixes=["TEMPORARY"],
)
COLUMNS = {name: TABLE.c[name] for name in OBJ}


def stored(value: object) -> object:
    return list(value) if isinstance(value, frozenset) else value


@dataclass
class Pool:
    """The rows in PostgreSQL, and how often a policy told some of them from others."""

    connection: AsyncConnection
    seen: Counter[str]

    async def where(self, predicate: ColumnElement[bool]) -> set[int]:
        return set(await self.connection.scalars(select(TABLE.c.n).where(predicate)))

    async def disagreement(
        self, snapshot: PolicySnapshot, subject: Subject, environment: Environment
    ) -> set[int]:
        point = {
            n
            for n, row in enumerate(ROWS)
            if snapshot.decide(subject, Action.READ, row, environment).allowed
        }
        predicate = snapshot.predicate(
            subject, Action.READ, ResourceType.RECORD, environment, COLUMNS
        )
        self.seen["mixed" if 0 < len(point) < len(ROWS) else "uniform"] += 1
        return point ^ await self.where(predicate)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(postgres: str) -> AsyncIterator[Pool]:
    url = postgres.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.run_sync(TABLE.create)
        rows = [{name: stored(getattr(row, name)) for name in OBJ} for row in ROWS]
        await connection.execute(TABLE.insert(), [{"n": n, **row} for n, row in enumerate(rows)])
        yield (pool := Pool(connection, Counter()))
    await engine.dispose()
    if pool.seen.total() > 50:  # policies that treat all rows alike would prove little
        assert pool.seen["mixed"] > 0.2 * pool.seen.total()


@given(rules=policies(), subject=any_subject, environment=environments)
@settings(max_examples=150, deadline=None)
async def test_a_list_shows_the_rows_a_read_would_allow(
    pool: Pool, rules: list[Rule], subject: Subject, environment: Environment
):
    snapshot = PolicySnapshot.build(1, rules)
    assert await pool.disagreement(snapshot, subject, environment) == set()


TRAPS = [
    "r.obj.status != 'final'",
    "not (r.obj.status == 'final')",
    "r.obj.status not in ['final']",
    "not (r.obj.status not in ['final', ''])",
    "r.obj.status == ''",
    "r.obj.status == 'final '",
    "r.obj.status == 'a_'",
    "r.obj.status == r.obj.kind",
    "r.obj.status != r.obj.kind",
    "r.obj.doctor_id == r.sub.doctor_id",
    "r.obj.doctor_id != r.sub.doctor_id",
    "not (r.obj.doctor_id == r.sub.doctor_id)",
    "r.sub.doctor_id != r.sub.patient_id",
    "r.obj.author_id is None or r.obj.author_id == r.sub.id",
    "r.obj.author_id is not None and not r.obj.in_care_team",
    "not r.obj.in_care_team",
    "not not r.obj.in_care_team",
    "r.obj.in_care_team != r.obj.own_appointment",
    "r.obj.patient_id == r.obj.author_id != r.sub.id",
    "r.obj.sensitivity != 'V'",
    "r.env.purpose not in ['TREAT'] or r.obj.own_appointment",
    "True and not False",
    "r.obj.categories <= r.sub.clearances",
    "not (r.obj.categories <= r.sub.clearances)",
    "r.sub.clearances <= r.obj.categories",
    "r.obj.sensitivity not in r.sub.clearances",
    "'PSY' in r.obj.categories",
    "'PSY' not in r.obj.categories",
    "r.obj.status in r.obj.categories",
    "r.obj.categories is None",
    # Case twins, blanks, wildcards of LIKE and the word None are words like any other.
    "r.obj.status == 'Final'",
    "r.obj.status in ['final', 'Final']",
    "r.obj.status not in ['final', 'Final', 'final ']",
    "r.obj.status == 'None'",
    "r.obj.status in ['']",
    "r.obj.status not in ['']",
    "r.obj.status != ''",
    "not (r.obj.status in ['a_'])",
    "r.obj.kind == 'draft' and r.obj.status == 'draft'",
    # What the caller does not have is known before the query, and is unknown all the same.
    "r.sub.doctor_id is None",
    "not (r.sub.doctor_id is not None)",
    "r.obj.doctor_id == r.sub.doctor_id or r.sub.doctor_id is None",
    "r.sub.patient_id == r.obj.patient_id",
    "not (r.sub.patient_id != r.obj.patient_id)",
    "r.sub.doctor_id == r.sub.patient_id or r.obj.in_care_team",
    "r.sub.on_shift",
    "not r.sub.on_shift",
    "r.sub.on_shift is None and r.obj.in_care_team is None",
    "r.sub.department == r.obj.department",
    "r.sub.department != r.obj.department",
    "r.sub.department in ['final']",
    "r.sub.department not in ['final']",
    # Unknown through and, or, not: Kleene's tables, by De Morgan both ways.
    "not (r.obj.in_care_team and r.obj.own_appointment)",
    "not (r.obj.in_care_team or r.obj.own_appointment)",
    "r.obj.in_care_team or not r.obj.in_care_team",
    "r.obj.in_care_team and not r.obj.in_care_team",
    "not (not (r.obj.status == 'final') and not r.obj.break_glass)",
    "(r.obj.consent_denied or True) and not (r.obj.consent_granted and False)",
    "r.obj.proxied == r.obj.break_glass",
    "r.obj.proxied == r.obj.break_glass != r.obj.consent_denied",
    "not (r.obj.patient_id == r.obj.author_id == r.sub.id)",
    "r.obj.author_id is None and r.obj.author_id != r.sub.id",
    # Sets: the empty one, one within another, a member that is unknown.
    "'N' in r.sub.clearances",
    "'N' not in r.sub.clearances",
    "not (r.sub.clearances <= r.obj.categories)",
    "r.obj.kind not in r.obj.categories",
    "not (r.obj.sensitivity in r.sub.clearances and r.obj.categories <= r.sub.clearances)",
    "r.obj.categories is not None and not (r.obj.categories <= r.sub.clearances)",
    "r.obj.sensitivity in ['N', 'R'] and r.obj.sensitivity not in ['R', 'V']",
    "r.env.purpose in r.sub.clearances",
]


@pytest.mark.parametrize("effect", ["allow", "deny"])
@pytest.mark.parametrize("trap", TRAPS)
async def test_the_traps_of_translation_catch_neither_engine(pool: Pool, trap: str, effect: str):
    base = Rule("base", 4, "anyone", "record", "read", "allow", "True")
    rules = [Rule("trap", 3, "anyone", "record", "read", effect, trap)]
    snapshot = PolicySnapshot.build(1, rules + [base] * (effect == "deny"))
    for doctor, cleared in product((None, IDS[0]), (set(), {"N", "PSY"}, LABELS)):
        subject = Subject(IDS[1], frozenset({Role.DOCTOR}), doctor, None, frozenset(cleared))
        gap = await pool.disagreement(snapshot, subject, Environment(Purpose.TREATMENT))
        assert gap == set()


@pytest.mark.parametrize("role", Role)
async def test_the_default_rules_list_what_they_let_read(pool: Pool, role: Role):
    snapshot = PolicySnapshot.build(1, defaults())
    subject = Subject(IDS[0], frozenset({role}), IDS[1], IDS[2])
    assert await pool.disagreement(snapshot, subject, Environment(Purpose.TREATMENT)) == set()


async def test_a_relation_may_be_an_exists(pool: Pool):
    team = TABLE.alias("team")
    related = exists().where(team.c.author_id == TABLE.c.patient_id)
    columns = {**COLUMNS, "in_care_team": related}
    subject = Subject(IDS[0], frozenset({Role.NURSE}))
    everyone = set(range(len(ROWS)))
    inside = await pool.where(related)
    assert inside not in (set(), everyone)
    for condition, expected in (
        ("r.obj.in_care_team", inside),
        ("not r.obj.in_care_team", everyone - inside),
        ("r.obj.in_care_team is None", set()),
    ):
        rule = Rule("only", 4, "nurse", "record", "read", "allow", condition)
        predicate = PolicySnapshot.build(1, [rule]).predicate(
            subject, Action.READ, ResourceType.RECORD, Environment(Purpose.TREATMENT), columns
        )
        assert await pool.where(predicate) == expected
