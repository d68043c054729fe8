"""Two thousand random policies on PostgreSQL, relations as EXISTS, with pycasbin as the judge; and planted bugs, each caught."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
import pytest_asyncio
from sqlalchemy import ColumnElement, and_, exists, false, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from policies import conditions, shards
from policies.conditions import Condition, compile_condition, joined
from policies.enforcer import PolicySnapshot
from policies.facts import Environment, Kind, Resource, Subject
from policies.formula import AllOf, AnyOf, Formula, Known, negate
from policies.grammar import parse
from policies.predicates import to_predicate
from policies.rules import Rule
from policies.vocabulary import ROLES, Action, Outcome, Purpose, ResourceType, Role
from tests.random_policies import IDS, OBJ, ROWS, WORDS
from tests.test_conditions_agree import TABLE

POLICIES = 2_000
BATCH = 25
"""Policies asked in one SELECT."""
RELATIONS = [name for name, attribute in OBJ.items() if attribute.kind is Kind.FLAG]
_other = TABLE.alias("relation")


def related(name: str) -> ColumnElement[bool]:
    return exists().where(_other.c.n == TABLE.c.n, _other.c[name])


COLUMNS = {n: TABLE.c[n] for n in OBJ} | {name: related(name) for name in RELATIONS}
# What an EXISTS does not find is false, never unknown.
SAMPLE = [replace(row, **{n: bool(getattr(row, n)) for n in RELATIONS}) for row in ROWS[:60]]
IDS_OF = [f"r.obj.{n}" for n, a in OBJ.items() if a.kind is Kind.ID]
TEXTS = [f"r.obj.{n}" for n, a in OBJ.items() if a.kind is Kind.TEXT and a.words is None]
NULLABLE = [f"r.obj.{n}" for n in OBJ] + [
    f"r.sub.{n}" for n in ("doctor_id", "patient_id", "department", "on_shift")
]


def a_condition(dice: random.Random, depth: int = 0) -> str:
    shape = dice.random()
    if depth < 3 and shape < 0.45:
        parts = [f"({a_condition(dice, depth + 1)})" for _ in range(dice.randint(1, 2))]
        word = dice.choice([" and ", " or "])
        return word.join(parts) if len(parts) > 1 else f"not {parts[0]}"
    op, negated = dice.choice(["==", "!="]), dice.choice(["in", "not in"])
    words = [repr(w) for w in dice.sample(WORDS, dice.randint(1, 3))]
    one, other = dice.sample([*IDS_OF, "r.sub.id", "r.sub.doctor_id", "r.sub.patient_id"], 2)
    return dice.choice(
        [
            f"{one} {op} {other}",
            f"{dice.choice(TEXTS)} {op} {words[0]}",
            f"r.sub.department {op} {dice.choice([*TEXTS, words[0]])}",
            f"{dice.choice(['', 'not '])}r.sub.on_shift",
            f"{dice.choice(TEXTS)} {negated} [{', '.join(words)}]",
            f"r.obj.{dice.choice(RELATIONS)}",
            f"{dice.choice(NULLABLE)} is {dice.choice(['', 'not '])}None",
            f"r.obj.sensitivity {negated} ['N', '{dice.choice('RV')}']",
            f"r.obj.sensitivity {negated} r.sub.clearances",
            dice.choice(
                ["r.obj.categories <= r.sub.clearances", f"'PSY' {negated} r.obj.categories"]
            ),
            f"r.env.purpose {op} '{dice.choice(list(Purpose))}'",
        ]
    )


def a_policy(dice: random.Random) -> list[Rule]:
    def rule(n: int, tier: int, who: str, effect: str) -> Rule:
        return Rule(f"r{n}", tier, who, "record", "read", effect, a_condition(dice))

    rules = [
        rule(n, dice.randint(1, 4), dice.choice(list(ROLES)), dice.choice(list(Outcome)))
        for n in range(dice.randint(1, 5))
    ]
    return [*rules, rule(9, 4, "anyone", "allow")]


def a_subject(dice: random.Random) -> Subject:
    roles = frozenset(dice.sample(list(Role), dice.randint(1, 3)))
    maybe = [None, *IDS]
    cleared = frozenset(dice.sample(["N", "R", "V", "PSY", "HIV"], dice.randint(0, 5)))
    ids = dice.choice(IDS), roles, dice.choice(maybe), dice.choice(maybe), cleared
    return Subject(*ids, dice.choice([None, *WORDS]), dice.choice([None, True, False]))


Asked = tuple[PolicySnapshot, Subject, Environment]


def an_asking(seed: int) -> Asked:
    dice = random.Random(seed)
    rules, subject = a_policy(dice), a_subject(dice)
    return PolicySnapshot.build(1, rules), subject, Environment(dice.choice(list(Purpose)))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pool(postgres: str) -> AsyncIterator[AsyncConnection]:
    url = postgres.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.run_sync(TABLE.create)
        rows = [{name: _stored(row, name) for name in OBJ} for row in SAMPLE]
        await connection.execute(TABLE.insert(), [{"n": n, **row} for n, row in enumerate(rows)])
        yield connection
    await engine.dispose()


def _stored(row: Resource, name: str) -> object:
    value = getattr(row, name)
    return sorted(value) if isinstance(value, frozenset) else value


def point(asked: Asked) -> list[bool]:
    snapshot, subject, environment = asked
    return [snapshot.decide(subject, Action.READ, row, environment).allowed for row in SAMPLE]


async def listed(pool: AsyncConnection, batch: list[Asked]) -> list[list[bool]]:
    """Ask several policies for every row in one SELECT; answers by policy."""
    terms = [
        snapshot.predicate(subject, Action.READ, ResourceType.RECORD, environment, COLUMNS)
        for snapshot, subject, environment in batch
    ]
    found = await pool.execute(select(*terms).order_by(TABLE.c.n).select_from(TABLE))
    return [list(column) for column in zip(*found.all(), strict=True)]


async def disagreements(pool: AsyncConnection, seeds: range) -> tuple[int, Counter[str]]:
    wrong, seen = 0, Counter[str]()
    for first in range(seeds.start, seeds.stop, BATCH):
        batch = [an_asking(seed) for seed in range(first, first + BATCH)]
        for asked, rows in zip(batch, await listed(pool, batch), strict=True):
            points = point(asked)
            wrong += points != rows
            seen["mixed" if 0 < sum(points) < len(points) else "uniform"] += 1
    return wrong, seen


async def test_two_thousand_policies_list_what_they_let_read(pool: AsyncConnection):
    wrong, seen = await disagreements(pool, range(POLICIES))
    assert wrong == 0
    assert seen.total() == POLICIES
    assert seen["mixed"] > 0.2 * POLICIES, "policies that treat all rows alike prove little"


def a_family(dice: random.Random) -> list[str]:
    """Return conditions many of which differ in one word."""
    flag, other = (f"r.obj.{name}" for name in dice.sample(RELATIONS, 2))
    said = f"r.obj.kind == '{{}}' and {flag}", f"r.obj.status in ['{{}}', 'b'] or not {flag}"
    said += (
        f"r.obj.department == '{{}}' and {other}",
        f"{other} and r.obj.kind != '{{}}'",
    )
    return [dice.choice(said).format(dice.choice([*WORDS, "note"])) for _ in range(12)]


@pytest.mark.parametrize("effect", Outcome)
def test_rules_that_differ_in_a_word_are_fewer_and_say_the_same(effect: Outcome):
    whole, before, after = (any if effect is Outcome.ALLOW else all), 0, 0
    for seed in range(60):
        dice = random.Random(seed)
        given = [compile_condition(text, ResourceType.RECORD, effect) for text in a_family(dice)]
        fewer, who = joined(given, effect), (a_subject(dice), Environment(Purpose.TREATMENT))
        before, after = before + len({c.favour for c in given}), after + len(fewer)
        for row in ROWS[:80]:
            plain, found = (
                whole(c.closure(who[0], row, who[1]) for c in some) for some in (given, fewer)
            )
            assert plain == found
    assert after < before * 3 / 4


def guards_of_the_caller_left_out(formula: Formula) -> Formula:
    """`column == None` becomes IS NULL in SQLAlchemy, and is true."""
    match formula:
        case AllOf(parts):
            kept = [
                p
                for p in parts
                if not (isinstance(p, Known) and p.attr.root == "sub" and p.expected)
            ]
            return AllOf(tuple(guards_of_the_caller_left_out(p) for p in kept))
        case AnyOf(parts):
            return AnyOf(tuple(guards_of_the_caller_left_out(p) for p in parts))
        case _:
            return formula


def missing_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    _favours(monkeypatch, lambda c, s, e, cols: to_predicate(_raw(c), s, e, cols))


def null_rewrite(monkeypatch: pytest.MonkeyPatch) -> None:
    _favours(
        monkeypatch,
        lambda c, s, e, cols: to_predicate(guards_of_the_caller_left_out(c.favour), s, e, cols),
    )


def unknown_spares(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deny holds only where its condition is definitely true."""

    def favours(c: Condition, s: Subject, e: Environment, cols: object) -> ColumnElement[bool]:
        if c.effect is Outcome.ALLOW:
            return to_predicate(c.favour, s, e, cols)
        return not_(to_predicate(conditions.definitely(negate(_raw(c))), s, e, cols))

    _favours(monkeypatch, favours)


def not_around_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    def favours(c: Condition, s: Subject, e: Environment, cols: object) -> ColumnElement[bool]:
        if c.effect is Outcome.ALLOW:
            return to_predicate(c.favour, s, e, cols)
        return not_(to_predicate(negate(_raw(c)), s, e, cols))

    _favours(monkeypatch, favours)


def lower_tiers_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def visible(lines: object, s: Subject, e: Environment, cols: object) -> ColumnElement[bool]:
        mine = [x for x in lines if not x.roles.isdisjoint(s.roles)]
        tiers = []
        for tier in {x.rule.tier for x in mine}:
            said = [(x, x.condition.favours(s, e, cols)) for x in mine if x.rule.tier == tier]
            allow = or_(false(), *(f for x, f in said if x.rule.effect == Outcome.ALLOW))
            tiers.append(and_(allow, *(f for x, f in said if x.rule.effect == Outcome.DENY)))
        return or_(false(), *tiers)

    monkeypatch.setattr("policies.enforcer.visible", visible)


def empty_set_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is in an empty set; a translation that drops the term says everything is."""
    monkeypatch.setattr("policies.predicates._set", _never_empty)


def _never_empty(values: object) -> ColumnElement[object]:
    from sqlalchemy import Text, literal
    from sqlalchemy.dialects.postgresql import ARRAY

    if isinstance(values, ColumnElement):
        return values
    return literal(sorted(values) or ["N", "R", "V", "PSY", "HIV"], ARRAY(Text))


_RAW: dict[Formula, Formula] = {}


def _raw(condition: Condition) -> Formula:
    """Return what is to be favoured without its guards."""
    return _RAW.get(condition.favour, condition.favour)


def _favours(monkeypatch: pytest.MonkeyPatch, wrong: Callable[..., ColumnElement[bool]]) -> None:
    plain = conditions.compile_condition

    def compiled(text: str, kind: ResourceType, effect: Outcome) -> Condition:
        made = plain(text, kind, effect)
        formula = parse(text, kind)
        _RAW[made.favour] = formula if effect is Outcome.ALLOW else negate(formula)
        return made

    monkeypatch.setattr(shards, "compile_condition", compiled)
    monkeypatch.setattr(Condition, "favours", wrong)


PLANTED = [
    missing_guard,
    null_rewrite,
    unknown_spares,
    not_around_sql,
    lower_tiers_forgotten,
    empty_set_holds,
]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
async def test_a_planted_bug_of_translation_is_caught(
    pool: AsyncConnection, plant: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    plant(monkeypatch)
    wrong, _ = await disagreements(pool, range(200))
    assert wrong > 0
