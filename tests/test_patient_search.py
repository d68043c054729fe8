"""Finding patients: what is found is what a list of plain texts would give, among those the caller may see, and no more."""

import os
from collections.abc import AsyncIterator, Callable
from datetime import date
from math import sqrt
from pathlib import Path
from statistics import mean, median, variance
from time import perf_counter
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Invalid
from core.ids import new_id
from policies.facts import Subject
from policies.vocabulary import Role
from records.access.me import Me
from records.base import Searchable
from records.clinic import Clinic
from records.people.details import PatientDetails
from records.people.finding import SEARCHABLE
from records.people.models import Patient
from records.people.registration import register
from records.people.searching import CANDIDATES, Wanted, search_patients
from records.vault.indexes import Telling, plan
from tests.apis import Api, serve
from tests.clinics import me_as, open_clinic, outbox, populate

# One value a line, in the spellings people use for it; families that sound alike share a letter.
FAMILIES = [("Ruíz", "RUIZ", "ruiz"), ("Smith", "smith"), ("Smyth", "SMYTH"), ("O'Hara", "ohara")]
SOUNDS = "rsso"
GIVEN = [("Zoë", "Zoe"), ("Anna Maria", "anna-maria"), ("Anna", "ANNA")]
BORN = [date(1980, 1, 2), date(1980, 7, 9), date(1991, 1, 2)]
PHONES = [("(202) 555-0143", "+1 202 555 0143"), ("+44 20 7946 0991", "+442079460991")]
EMAILS = [("zoe@Example.org", "ZOE@example.org"), ("a.m@example.org",)]
PEOPLE = [(f, f % 3, (f + b) % 3, b % 2, (f + b) % 2) for f in range(4) for b in range(9)]
"""Each patient is an index into the lists above: family, given, born, phone, e-mail."""


TIMED = int(os.environ.get("CONFIDE_TIMED_SEARCHES", "100"))
"""Searches of each kind whose time is taken; with 5000 a difference of a hundredth would be told from chance."""


def spelt(values: list, index: int, variant: int) -> str:
    return values[index][variant % len(values[index])]


def desk() -> Me:
    """Return somebody at the front desk."""
    return me_as(Subject(new_id(), frozenset({Role.RECEPTIONIST})))


async def found(clinic: Clinic, me: Me, wanted: Wanted, limit: int = 20) -> list[Any]:
    ids, after = [], None
    while True:
        page, after = await search_patients(clinic, me, wanted, limit=limit, after=after)
        ids += [patient.id for patient in page]
        if after is None:
            return sorted(ids)


@pytest.fixture
async def clinic(database_url: str, tmp_path: Path) -> AsyncIterator[Clinic]:
    async with open_clinic(database_url, tmp_path) as clinic:
        yield clinic


@pytest.fixture
async def everybody(clinic: Clinic) -> dict[Any, tuple[int, ...]]:
    people = await populate(clinic)
    known = {}
    for variant, (family, given_name, born, phone, email) in enumerate(PEOPLE):
        details = PatientDetails(
            name={
                "family": spelt(FAMILIES, family, variant),
                "given": spelt(GIVEN, given_name, variant),
            },
            birth_date=BORN[born],
            sex="unknown",
            phone=spelt(PHONES, phone, variant),
            other_emails=[{"value": spelt(EMAILS, email, variant)}],
        )
        async with clinic.database.transaction() as session:
            chart = await register(session, clinic, people.reception, details)
        known[chart.patient_id] = (family, given_name, born, phone, email)
    return known


def fits(person: tuple[int, ...], asked: tuple[int | None, ...], sounds_like: bool) -> bool:
    """The oracle: knows which value each patient has, and nothing of normalising or of tokens."""
    for value, wanted, field in zip(person, asked, "fgbpe", strict=True):
        if wanted is None or value == wanted:
            continue
        if field == "f" and sounds_like and SOUNDS[value] == SOUNDS[wanted]:
            continue
        if field == "b" and sounds_like and BORN[value].year == BORN[wanted].year:
            continue
        if field == "g" and (value, wanted) == (1, 2):  # Anna Maria is an Anna
            continue
        return False
    return True


def maybe(values: list) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(0, len(values) - 1)


ASKED = st.tuples(maybe(FAMILIES), maybe(GIVEN), maybe(BORN), maybe(PHONES), maybe(EMAILS))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    asked=ASKED.filter(lambda a: any(a[i] is not None for i in (0, 3, 4))),
    sounds=st.booleans(),
    variant=st.integers(0, 5),
)
async def test_a_search_finds_exactly_what_plain_texts_would(
    clinic: Clinic, everybody: dict, asked: tuple, sounds: bool, variant: int
):
    family, given_name, born, phone, email = asked
    sounds_like = sounds and family is not None and born is not None
    wanted = Wanted(
        family=None if family is None else spelt(FAMILIES, family, variant),
        given=None if given_name is None else spelt(GIVEN, given_name, variant),
        birth_date=None if born is None else BORN[born],
        phone=None if phone is None else spelt(PHONES, phone, variant),
        email=None if email is None else spelt(EMAILS, email, variant),
        sounds_like=sounds_like,
    )
    expected = [i for i, person in everybody.items() if fits(person, asked, sounds_like)]
    assert await found(clinic, desk(), wanted) == sorted(expected)


async def test_more_candidates_than_one_look_takes_are_all_found(clinic: Clinic):
    people = await populate(clinic)
    details = PatientDetails({"family": "Same", "given": "Name"}, date(1990, 1, 1), "other")
    ids = []
    for _ in range(CANDIDATES + 3):
        async with clinic.database.transaction() as session:
            chart = await register(session, clinic, people.reception, details)
        ids.append(chart.patient_id)
    assert await found(clinic, desk(), Wanted(family="same"), limit=50) == sorted(ids)


async def test_who_may_not_see_a_patient_does_not_find_them(clinic: Clinic):
    people = await populate(clinic)
    wanted = Wanted(family="Quillfeather", birth_date=date(1971, 3, 9))
    assert await found(clinic, people.baker, wanted) == []
    assert await found(clinic, people.adams, wanted) == [people.patient_id]


async def test_how_long_a_search_takes_does_not_tell_who_is_hidden(
    clinic: Clinic, record_property: Callable[[str, object], None]
):
    """A hit that the caller may not see, and a miss: Welch's t of their times, but for the slowest tenth, which the machine made slow."""
    people = await populate(clinic)
    hidden = Wanted(family="Quillfeather", birth_date=date(1971, 3, 9))
    absent = Wanted(family="Quillfeather", birth_date=date(1971, 3, 8))
    assert await found(clinic, people.reception, hidden)
    took: dict[Wanted, list[float]] = {hidden: [], absent: []}
    for n in range(TIMED + 20):
        for wanted in (hidden, absent) if n % 2 else (absent, hidden):
            began = perf_counter()
            page = await search_patients(clinic, people.baker, wanted, limit=20)
            took[wanted].append(perf_counter() - began)
            assert page == ([], None)
    one, other = (sorted(times[20:])[: int(TIMED * 0.9)] for times in took.values())
    error = sqrt((variance(one) + variance(other)) / len(one))
    told = (mean(one) - mean(other)) / error
    record_property(
        "measured",
        f"{TIMED} searches each: Welch's t {told:.1f}, medians {median(one) * 1000:.2f} ms (hidden), {median(other) * 1000:.2f} ms (absent)",
    )
    assert abs(told) < 4.5


async def test_a_patient_is_on_the_trail_when_shown_and_not_when_compared(
    clinic: Clinic, database_url: str
):
    people = await populate(clinic)
    before = len(await outbox(database_url))
    await found(clinic, people.reception, Wanted(phone="+1 555 010 7788", family="Featherquill"))
    await found(clinic, people.reception, Wanted(phone="+1 555 010 7788"))
    events = (await outbox(database_url))[before:]
    assert [e["patient"] for e in events] == [None, None, str(people.patient_id)]
    assert [e["reason"] for e in events] == ["by family phone", "by phone", None]


NOTHING = [
    Wanted(),
    Wanted(given="Zoe"),
    Wanted(birth_date=BORN[0]),
    Wanted(given="Zoe", birth_date=BORN[0]),
    Wanted(family="Smith", sounds_like=True),
    Wanted(family="'-."),
    Wanted(family="Smith", given="--"),
    Wanted(phone="+"),
]


async def test_what_no_index_is_for_is_refused(clinic: Clinic):
    for wanted in NOTHING:
        with pytest.raises(Invalid):
            await search_patients(clinic, desk(), wanted, limit=20)


async def test_an_amended_patient_is_found_by_what_is_true_now(database_url: str, tmp_path: Path):
    async with serve(database_url, tmp_path) as api:
        reception, path = api.people.reception, f"/v1/patients/{api.people.patient_id}"
        change = {"name": {"family": "Larkspur"}, "phone": "+44 20 7946 0991"}
        assert (await api.patch(reception, path, change, 'W/"1"')).status_code == 200
        for body, number in (
            ({"family": "Larkspur", "birth_date": "1971-03-09"}, 1),
            ({"phone": "+442079460991"}, 1),
            ({"family": "Quillfeather"}, 0),
            ({"phone": "+1 555 010 7788"}, 0),
        ):
            assert await _count(api, body) == number, body


async def _count(api: Api, body: dict) -> int:
    answer = await api.post(api.people.reception, "/v1/patients/search", body)
    assert answer.status_code == 200
    return len(answer.json()["items"])


async def test_a_throttled_search_says_when_to_come_back(database_url: str, tmp_path: Path):
    async with serve(database_url, tmp_path) as api:
        body = {"identifier": "x"}
        answers = [await api.post(api.people.admin, "/v1/patients/search", body) for _ in range(31)]
        assert [a.status_code for a in answers].count(429) == 1
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60


async def test_the_tokens_say_nothing_without_the_key(clinic: Clinic, database_url: str):
    await populate(clinic)
    connection = await asyncpg.connect(database_url)
    tokens = await connection.fetch("SELECT index, token FROM patient_token")
    await connection.close()
    bits = plan(SEARCHABLE, clinic.indexes.patients)
    assert {t["index"] for t in tokens} == {i.name for i in SEARCHABLE}
    for token in tokens:
        value = int.from_bytes(token["token"], "big")
        assert value % (1 << (8 * len(token["token"]) - bits[token["index"]])) == 0


async def test_a_patient_whose_names_share_a_token_is_registered_and_found(clinic: Clinic):
    people = await populate(clinic)
    tokens = 2 ** plan(SEARCHABLE, clinic.indexes.patients)["family"]
    names = [{"family": f"Berg {n}", "given": "Zoë"} for n in range(tokens + 1)]
    details = PatientDetails(
        name=names[0], other_names=names[1:], birth_date=BORN[0], sex="unknown"
    )
    async with clinic.database.transaction() as session:
        chart = await register(session, clinic, people.reception, details)
    assert await found(clinic, desk(), Wanted(family="Berg 7")) == [chart.patient_id]


def test_blurred_indexes_leave_at_least_two_patients_alike():
    for rows in (10_000, 100_000, 2**20, 10**7):
        bits = plan(SEARCHABLE, rows)
        assert 2 ** sum(bits[i.name] for i in SEARCHABLE if i.blurs) * 2 <= rows


def test_indexes_that_would_tell_patients_apart_do_not_start():
    with pytest.raises(Telling):
        plan(SEARCHABLE, 100)
    sex = [
        Searchable(f"sex{n}", "", ("sex",), lambda values: [(values["sex"],)], 8, 2.0, blurs=True)
        for n in range(9)
    ]
    with pytest.raises(Telling):
        plan((*SEARCHABLE, *sex), 10_000)


def test_nothing_of_few_values_has_an_index():
    indexed = {column for index in Patient.searchable for column in index.columns}
    assert not indexed & {"sex", "language", "deceased", "address"}
    assert not any(index.columns == ("birth_date",) for index in Patient.searchable)
