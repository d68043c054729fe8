"""Random conditions, policies, subjects and rows for the tests that let two engines disagree.

Rows hold what trips translations up: NULL, '', trailing blanks, case twins, look-alikes, wildcards, quotes.
"""

import random
from dataclasses import replace
from itertools import combinations
from uuid import UUID

from hypothesis import strategies as st

from policies.clearance import LABELS
from policies.facts import SCHEMA, Attribute, Environment, Kind, Resource, Subject
from policies.rules import Rule
from policies.vocabulary import ROLES, Category, Outcome, Purpose, ResourceType, Role, Sensitivity

IDS = [UUID(int=number) for number in range(1, 5)]
WORDS = ["", "final", "Final", "final ", "draft", "a_"]
HOSTILE = [*WORDS, "ﬁnal", "a%", "ab", "f\u0131nal", "' or 1=1 --", "e\u0301", "\u00e9", "None"]
POOL = {Kind.ID: IDS, Kind.TEXT: HOSTILE, Kind.FLAG: [True, False]}
SETS = [frozenset(c) for n in (0, 1, 2) for c in combinations(Category, n)]
OBJ = {
    name: attribute
    for (root, name), attribute in SCHEMA.items()
    if root == "obj" and ResourceType.RECORD in attribute.types
}


def values_of(attribute: Attribute) -> list:
    if attribute.kind is Kind.SET:
        return SETS
    return sorted(attribute.words or ()) or POOL[attribute.kind]


def a_row(dice: random.Random) -> Resource:
    values = {name: dice.choice([None, *values_of(attribute)]) for name, attribute in OBJ.items()}
    return Resource(ResourceType.RECORD, **values)


ROWS = [a_row(random.Random(seed)) for seed in range(300)]
"""About a tenth to a quarter of all attributes is None."""


def completed(row: Resource) -> Resource:
    """Return `row` with every None replaced by some value."""
    dice = random.Random(repr(row))
    found = {name: getattr(row, name) for name in OBJ}
    return replace(
        row,
        **{
            name: dice.choice(values_of(OBJ[name]))
            for name, value in found.items()
            if value is None
        },
    )


ids = [f"r.obj.{name}" for name, attribute in OBJ.items() if attribute.kind is Kind.ID]
subject_ids = ["r.sub.id", "r.sub.doctor_id", "r.sub.patient_id"]
texts = ["r.obj.status", "r.obj.kind", "r.obj.department", "r.sub.department"]
flags = [f"r.obj.{name}" for name, attribute in OBJ.items() if attribute.kind is Kind.FLAG]
closed = {"r.obj.sensitivity": list(Sensitivity), "r.env.purpose": list(Purpose)}
equality = st.sampled_from(["==", "!="])
word = st.sampled_from(WORDS).map(lambda text: repr(str(text)))


def distinct(names: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=2, max_size=3, unique=True)


chains = (distinct([*ids, *subject_ids]) | distinct(texts) | distinct(flags)).flatmap(
    lambda names: st.lists(equality, min_size=len(names) - 1, max_size=len(names) - 1).map(
        lambda ops: names[0] + "".join(f" {op} {n}" for op, n in zip(ops, names[1:], strict=True))
    )
)
memberships = st.builds(
    lambda name, op, words: f"{name} {op} [{', '.join(words)}]",
    st.sampled_from(texts),
    st.sampled_from(["in", "not in"]),
    st.lists(word, min_size=1, max_size=3),
)
codes = st.sampled_from(list(closed)).flatmap(
    lambda name: st.builds(
        lambda op, code: f"{name} {op} '{code}'", equality, st.sampled_from(closed[name])
    )
)
literals = st.builds(lambda name, op, w: f"{name} {op} {w}", st.sampled_from(texts), equality, word)
nulls = st.builds(
    lambda name, op: f"{name} {op} None",
    st.sampled_from(
        [
            *ids,
            *subject_ids[1:],
            *texts,
            *flags,
            "r.sub.on_shift",
            "r.obj.sensitivity",
            "r.obj.categories",
        ]
    ),
    st.sampled_from(["is", "is not"]),
)
sets = st.sampled_from(
    [
        "r.obj.categories <= r.sub.clearances",
        "r.sub.clearances <= r.obj.categories",
        "r.obj.sensitivity in r.sub.clearances",
        "r.obj.status not in r.sub.clearances",
        "r.obj.kind in r.obj.categories",
        "r.env.purpose in r.sub.clearances",
        "'PSY' in r.obj.categories",
        "'HIV' not in r.obj.categories",
        "'V' in r.sub.clearances",
    ]
)
constants = st.sampled_from([*flags, "r.sub.on_shift", "not r.sub.on_shift", "True", "False"])
leaves = chains | memberships | codes | literals | sets | constants


def combined(leaf: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        leaf,
        lambda inner: (
            st.builds("not ({})".format, inner)
            | st.builds("({}) and ({})".format, inner, inner)
            | st.builds("({}) or ({})".format, inner, inner)
        ),
        max_leaves=6,
    )


conditions = combined(leaves | nulls)
monotone = combined(leaves)
"""Without `is None`: what such a condition says of a half-known row, learning more cannot take back."""


@st.composite
def policies(draw: st.DrawFn) -> list[Rule]:
    """Some rules about reading records, at least one of them an ordinary allow for anyone."""
    texts = draw(st.lists(conditions, min_size=1, max_size=7))
    rules = [
        Rule(
            f"rule-{number}",
            draw(st.integers(1, 4)),
            draw(st.sampled_from(list(ROLES))),
            "record",
            "read search",
            draw(st.sampled_from(list(Outcome))),
            text,
        )
        for number, text in enumerate(texts)
    ]
    return [*rules, Rule("base", 4, "anyone", "record", "read", "allow", draw(conditions))]


def subjects(
    maybe: st.SearchStrategy[UUID | None],
    department: st.SearchStrategy[str | None],
    on_shift: st.SearchStrategy[bool | None],
) -> st.SearchStrategy[Subject]:
    roles = st.frozensets(st.sampled_from(list(Role)), min_size=1, max_size=3)
    clearances = st.frozensets(st.sampled_from(sorted(LABELS)))
    own = st.sampled_from(IDS)
    return st.builds(Subject, own, roles, maybe, maybe, clearances, department, on_shift)


any_subject = subjects(
    st.sampled_from([None, *IDS]),
    st.sampled_from([None, *WORDS]),
    st.sampled_from([None, True, False]),
)
known_subject = subjects(st.sampled_from(IDS), st.sampled_from(WORDS), st.booleans())
environments = st.builds(Environment, st.sampled_from(list(Purpose)))
