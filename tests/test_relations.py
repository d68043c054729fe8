"""A relation is about the patient at hand, in whatever table it is asked: against a count by hand of who has what with whom."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from core.clock import now
from core.errors import NotFound
from core.settings import settings
from policies.vocabulary import ResourceType
from records.access.me import Me
from records.access.models import CareTeam, Consent, Decision, Proxy
from records.clinic import Clinic
from records.clinical.models import RecordKind
from records.clinical.writing import Draft, write_record
from records.governance import sight
from records.people.registration import register
from records.scheduling.booking import book
from tests.clinics import DETAILS, People, open_clinic, populate, slip_in

NOTE = Draft(RecordKind.NOTE, "Visit", {"text": "Nothing of note."})
PERIODS = {"none": None, "now": (-1, 1), "open": (-1, None), "ended": (-2, -1), "coming": (1, 2)}
TRUE = ("now", "open")


@dataclass
class Place:
    """A clinic, and by hand: which relations hold between whom and which patient."""

    clinic: Clinic
    people: People
    patients: list[UUID] = field(default_factory=list)
    holds: set[tuple[str, UUID, UUID]] = field(default_factory=set)

    @property
    def everybody(self) -> list[Me]:
        return [self.people.adams, self.people.baker, self.people.nurse, self.people.patient]


def _period(kind: str) -> tuple[datetime, datetime | None]:
    begins, ends = PERIODS[kind] or (0, 0)
    return now() + timedelta(hours=begins), ends and now() + timedelta(hours=ends)


@pytest.fixture
async def place(database_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with open_clinic(database_url, tmp_path) as clinic:
        people = await populate(clinic)
        place = Place(clinic, people, [people.patient_id])
        async with clinic.database.transaction() as session:
            others = [await register(session, clinic, people.reception, DETAILS) for _ in "abc"]
        place.patients += [other.patient_id for other in others]
        place.holds.add(("own_appointment", people.adams.subject.id, people.patient_id))
        await _visit(place, people.baker, place.patients[1], 1)
        await _visit(place, people.adams, place.patients[2], 2)
        await _say(place)
        yield place


async def _visit(place: Place, doctor: Me, patient: UUID, day: int) -> None:
    clinic, start = place.clinic, (now() + timedelta(days=day)).replace(minute=0, second=0)
    async with clinic.database.transaction() as session:
        visit = await book(
            session,
            clinic,
            place.people.reception,
            patient_id=patient,
            doctor_id=doctor.subject.doctor_id,
            start=start.replace(microsecond=0),
        )
    async with clinic.database.transaction() as session:
        await write_record(session, clinic, doctor, visit.id, NOTE)
    place.holds.add(("own_appointment", doctor.subject.id, patient))


async def _say(place: Place) -> None:
    """Deal out memberships, permits and proxies: some hold, some did, some will."""
    dice, rows = random.Random(7), []
    for me, patient in product(place.everybody, place.patients):
        account = me.subject.id
        for name, make in MAKERS.items():
            kind = dice.choice(list(PERIODS))
            if PERIODS[kind]:
                begins, ends = _period(kind)
                rows.append(make(patient, account, begins, ends))
                if kind in TRUE:
                    place.holds.add((name, account, patient))
    await slip_in(place.clinic, *rows)


def _team(patient: UUID, account: UUID, begins: datetime, ends: datetime | None) -> Any:
    return CareTeam(patient_id=patient, account_id=account, valid_from=begins, valid_until=ends)


def _permit(patient: UUID, account: UUID, begins: datetime, ends: datetime | None) -> Any:
    return Consent(
        patient_id=patient, account_id=account, decision=Decision.PERMIT, created_by=account,
        valid_from=begins, valid_until=ends,
    )  # fmt: skip


def _proxy(patient: UUID, account: UUID, begins: datetime, ends: datetime | None) -> Any:
    return Proxy(
        patient_id=patient, account_id=account, relationship="parent", created_by=account,
        valid_from=begins, valid_until=ends,
    )  # fmt: skip


MAKERS = {"in_care_team": _team, "consent_granted": _permit, "proxied": _proxy}


@pytest.mark.parametrize("kind", sight.PROTECTED)
async def test_relations_hold_for_whom_they_hold_by_hand(place: Place, kind: ResourceType):
    source, columns = sight.PROTECTED[kind]
    rows = await place.clinic.database.select(select(columns["id"]).select_from(source))
    seen: dict[str, set[bool]] = {}
    for me in place.everybody:
        found = await sight.facts(place.clinic.database, me, kind, [row["id"] for row in rows])
        for thing in found.values():
            for name in ("own_appointment", *MAKERS):
                expected = (name, me.subject.id, thing.patient_id) in place.holds
                assert getattr(thing, name) in (expected, None), (name, kind)
                seen.setdefault(name, set()).add(expected)
    assert rows == [] or all(both == {True, False} for both in seen.values())


async def test_a_doctor_with_patients_writes_nothing_about_anothers(place: Place):
    clinic, baker = place.clinic, place.people.baker
    async with clinic.database.transaction() as session:
        with pytest.raises(NotFound):
            await write_record(session, clinic, baker, place.people.appointment_id, NOTE)


@pytest.mark.parametrize(("days", "treats"), [(90, True), (2, False)])
async def test_how_long_a_visit_makes_a_doctor_treat_is_a_setting(
    place: Place, days: int, treats: bool, monkeypatch: pytest.MonkeyPatch
):
    await _visit(place, place.people.baker, place.patients[3], 20)
    monkeypatch.setenv("CONFIDE_TREATMENT_DAYS", str(days))
    settings.cache_clear()
    database, kind = place.clinic.database, ResourceType.PATIENT
    found = await sight.facts(database, place.people.baker, kind, [place.patients[3]])
    settings.cache_clear()
    assert found[place.patients[3]].own_appointment is treats
