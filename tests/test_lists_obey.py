"""Every list shows what single decisions allow, page by page, under the rules of a new clinic and under any others."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from core.errors import NotFound
from policies import scopes
from policies.enforcer import PolicySnapshot
from policies.facts import Resource
from policies.rules import Rule, defaults
from policies.vocabulary import Action, ResourceType, Role
from records.access.me import Me
from records.access.models import CareTeam
from records.base import add
from records.clinic import Clinic
from records.clinical import searching
from records.clinical.life import sign
from records.clinical.models import RecordKind
from records.clinical.reading import list_records
from records.clinical.writing import Draft, write_record
from records.governance import sight
from records.people.reading import list_patients
from records.people.registration import register
from records.scheduling.reading import Wanted, list_appointments, list_patient_appointments
from tests.clinics import DETAILS, People, _account, open_clinic, populate
from tests.random_policies import conditions

PAGE = 3
Page = tuple[Sequence[Any], UUID | None]
Lister = Callable[[Me, int, UUID | None], Awaitable[Page]]


@dataclass
class Place:
    """A clinic with enough in it to page through, and everybody who may look."""

    clinic: Clinic
    people: People
    everybody: list[Me]

    def govern(self, rules: list[Rule]) -> None:
        """Put rules in force here, whatever the database says of that version."""
        self.clinic.policy._snapshot = PolicySnapshot.build(1, rules)

    async def allowed(self, me: Me, kind: ResourceType) -> dict[UUID, Resource]:
        """Decide every row by itself."""
        source, columns = sight.PROTECTED[kind]
        rows = await self.clinic.database.select(select(columns["id"]).select_from(source))
        found = await sight.facts(self.clinic.database, me, kind, [row["id"] for row in rows])
        snapshot = self.clinic.policy.snapshot
        return {
            row_id: thing
            for row_id, thing in found.items()
            if snapshot.decide(me.subject, Action.READ, thing, me.environment).allowed
        }


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with open_clinic(database_url, tmp_path) as clinic:
        people = await populate(clinic)
        team = await _account(clinic, "team.nurse", Role.NURSE)
        async with clinic.database.transaction() as session:
            await add(session, CareTeam(patient_id=people.patient_id, account_id=team.subject.id))
            for me in (people.reception, people.reception, people.baker, people.baker):
                await register(session, clinic, me, DETAILS)
        await _write(clinic, people, team)
        named = (people.adams, people.baker, people.reception, people.nurse, people.patient)
        yield Place(clinic, people, [*named, people.admin, people.compliance, team])


async def _write(clinic: Clinic, people: People, team: Me) -> None:
    kinds = (RecordKind.NOTE, RecordKind.OBSERVATION)
    for n, (author, kind, label) in enumerate(product((people.adams, team), kinds, "NRV")):
        draft = Draft(kind, "Megrims", {"text": "Again."}, label)
        async with clinic.database.transaction() as session:
            record = await write_record(session, clinic, author, people.appointment_id, draft)
        if n % 2:
            async with clinic.database.transaction() as session:
                await sign(session, clinic, author, record.id, None)


async def paged(lister: Lister, me: Me) -> list[UUID]:
    """Turn every page; each but the last is full."""
    seen: list[UUID] = []
    after: UUID | None = None
    while True:
        items, after = await lister(me, PAGE, after)
        seen += [item.id for item in items]
        if after is None:
            return seen
        assert len(items) == PAGE


async def check(place: Place) -> int:
    """Compare every list with brute force for everybody; return how many rows were shown."""
    clinic, patient_id, shown = place.clinic, place.people.patient_id, 0
    for me in place.everybody:
        patients = await place.allowed(me, ResourceType.PATIENT)
        listed = await paged(lambda m, n, a: list_patients(clinic, m, limit=n, after=a), me)
        assert listed == sorted(patients, reverse=True)
        visits = await place.allowed(me, ResourceType.APPOINTMENT)
        listed = await paged(
            lambda m, n, a: list_appointments(clinic, m, Wanted("UTC"), limit=n, after=a), me
        )
        assert listed == sorted(visits, reverse=True)
        shown += len(patients) + len(visits) + await _of_patient(place, me, patient_id in patients)
    return shown


async def _of_patient(place: Place, me: Me, in_sight: bool) -> int:
    clinic, patient_id = place.clinic, place.people.patient_id
    records = await place.allowed(me, ResourceType.RECORD)
    listers: list[tuple[Lister, ResourceType]] = [
        (
            lambda m, n, a: list_records(clinic, m, patient_id, limit=n, after=a),
            ResourceType.RECORD,
        ),
        (
            lambda m, n, a: list_patient_appointments(
                clinic, m, patient_id, "UTC", limit=n, after=a
            ),
            ResourceType.APPOINTMENT,
        ),
    ]
    for lister, kind in listers:
        if not in_sight:
            with pytest.raises(NotFound):
                await lister(me, PAGE, None)
            continue
        mine = await place.allowed(me, kind)
        expected = [i for i, thing in mine.items() if thing.patient_id == patient_id]
        assert await paged(lister, me) == sorted(expected, reverse=True)
    return len(records)


async def test_under_the_rules_of_a_new_clinic(place: Place):
    assert await check(place) > 30


def ordinary(kind: str, condition: str, n: int, effect: str, who: str, tier: int) -> Rule:
    return Rule(f"{kind}-{n}", tier, who, kind, "read search", effect, condition)


RELATIONS = ["r.obj.in_care_team", "r.obj.own_appointment", "r.obj.patient_id == r.sub.patient_id"]
relations = st.lists(st.sampled_from(RELATIONS), min_size=1, max_size=2).flatmap(
    lambda parts: st.sampled_from([" or ".join(parts), f"not ({' and '.join(parts)})", "True"])
)
rules_of_lists = st.lists(
    st.one_of(
        st.tuples(st.just("record"), conditions),
        st.tuples(st.sampled_from(["patient", "appointment"]), relations),
    ),
    min_size=3,
    max_size=7,
).flatmap(
    lambda said: st.tuples(
        *(
            st.builds(
                ordinary,
                st.just(kind),
                st.just(condition),
                st.just(n),
                st.sampled_from(["allow", "allow", "deny"]),
                st.sampled_from(["anyone", "staff", "doctor", "nurse receptionist", "patient"]),
                st.integers(1, 4),
            )
            for n, (kind, condition) in enumerate(said)
        )
    )
)


@given(rules=rules_of_lists)
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_under_any_rules(place: Place, rules: tuple[Rule, ...]):
    base = [
        Rule(f"base-{k}", 4, "clinician", k, "read", "allow", "True") for k in ("patient", "record")
    ]
    place.govern([*rules, *base])
    await check(place)


async def test_what_a_token_does_not_reach_takes_no_place_on_a_page(place: Place):
    """A token about its owner alone: one page with their own file, and nothing that tells of other files."""
    clinic, desk, own = place.clinic, place.people.reception, place.people.patient_id
    narrow = replace(desk, scope=scopes.read("patient/Patient.rs"))
    nobody = await list_patients(clinic, narrow, limit=1)
    assert nobody == ([], None)
    themselves = replace(narrow, subject=replace(desk.subject, patient_id=own))
    found, after = await list_patients(clinic, themselves, limit=1)
    assert ([patient.id for patient in found], after) == ([own], None)
    assert (await list_patients(clinic, desk, limit=1))[1]


def hundreds() -> list[Rule]:
    """Return what a clinic of many departments writes: rules that differ in a word, some of which apply here."""
    words = [*(f"k{n}" for n in range(73)), "note", "final"]
    said = [
        ("allow", "r.obj.kind == '{}' and r.obj.in_care_team"),
        ("deny", "r.obj.kind == '{}' and not r.obj.own_appointment"),
        ("allow", "r.obj.status in ['{}', 'b'] and r.obj.own_appointment or r.obj.kind == 'q'"),
        ("deny", "r.obj.status == '{}' and r.obj.department is not None"),
    ]
    return [
        Rule(f"{effect}-{m}-{n}", 3 + m % 2, "staff", "record", "read", effect, text.format(word))
        for m, (effect, text) in enumerate(said)
        for n, word in enumerate(words)
    ]


async def test_under_three_hundred_rules_more_lists_are_as_right_and_their_statements_as_short(
    place: Place,
):
    gate, me, listing = place.clinic.gate, place.people.adams, searching._listing(frozenset())
    before = len(gate.listed(me, listing, 21).sql)
    place.govern([*defaults(), *hundreds()])
    assert len(hundreds()) == 300
    assert len(gate.listed(me, listing, 21).sql) < 1.5 * before
    assert await check(place) > 20


async def test_without_rules_no_list_shows_anything(place: Place):
    place.govern([rule for rule in defaults() if rule.effect == "deny"])
    assert await check(place) == 0
