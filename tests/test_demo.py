"""The demo clinic that `make run` loads: what is in it, and that loading it again changes nothing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from api.commands.dev import ACCOUNTS as TOLD
from core.clock import now
from core.errors import NotFound
from core.settings import Settings
from policies.facts import Subject
from policies.vocabulary import Role
from records.access.me import Me
from records.audit.event import Origin
from records.clinic import Clinic
from records.clinical.reading import list_records
from records.demo import clinic as demo
from records.demo.accounts import PASSWORD
from records.demo.people import DOCTORS
from records.identity import accounts
from records.people.checking import is_npi
from records.people.coverages import read_coverages
from records.people.reading import list_patients, read_patient
from records.scheduling.reading import Wanted, list_appointments
from tests.clinics import keyring, me_as, open_clinic
from tests.servers import cloned, confide, lasting_rows

ZONE = "America/New_York"


@dataclass(frozen=True)
class Demo:
    url: str
    home: Path
    said: str
    clinic: Clinic

    async def me(self, login: str) -> Me:
        account = await accounts.named(self.clinic, login)
        assert account is not None, login
        roles = frozenset(Role(role) for role in account.roles)
        return me_as(Subject(account.id, roles, account.doctor_id, account.patient_id))

    async def rows(self, query: str) -> list[Any]:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()


@pytest.fixture(scope="module")
async def loaded(
    postgres: str, template_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Demo]:
    home = tmp_path_factory.mktemp("demo")
    keyring(home)
    async with cloned(postgres, template_url) as url:
        done = confide(url, home, "seed")
        assert done.returncode == 0, done.stderr
        async with open_clinic(url, home) as clinic:
            yield Demo(url, home, done.stdout + done.stderr, clinic)


async def patients_of(loaded: Demo, login: str) -> dict[Any, Any]:
    me = await loaded.me(login)
    found, _ = await list_patients(loaded.clinic, me, limit=100)
    return {patient.id: patient for patient in found}


async def logs_in(loaded: Demo, login: str, password: str) -> bool:
    origin = Origin("TEST", "test")
    return await accounts.authenticate(loaded.clinic, login, password, origin) is not None


async def test_in_production_there_is_no_demo(database_url: str, tmp_path: Path):
    keyring(tmp_path)
    done = confide(database_url, tmp_path, "seed", CONFIDE_ENVIRONMENT="production")
    assert done.returncode == 1
    assert (await lasting_rows(database_url))["patient"] == []


async def test_the_command_says_what_it_loaded(loaded: Demo):
    assert "6 doctors, 30 patients" in loaded.said


async def test_loading_it_again_changes_nothing(loaded: Demo):
    before = await lasting_rows(loaded.url)
    chosen = Settings(home=loaded.home, environment="development", database_url=loaded.url)
    assert "already" in await demo.load(chosen)
    assert await lasting_rows(loaded.url) == before


async def test_every_account_that_is_told_can_log_in(loaded: Demo):
    for login, _ in TOLD:
        assert await logs_in(loaded, login, PASSWORD), login
    assert not await logs_in(loaded, "dr.adams@demo", "wrong")


async def test_thirty_patients_have_numbers_insurance_address_and_somebody_to_call(loaded: Demo):
    desk = await loaded.me("reception@demo")
    found = await patients_of(loaded, "reception@demo")
    assert len(found) == 30
    for patient_id in found:
        patient = await read_patient(loaded.clinic, desk, patient_id)
        assert {i.type for i in patient.identifiers} >= {"MR", "SS"}
        assert all(
            patient.phi[name] for name in ("phone", "email", "address", "emergency_contacts")
        )
        assert [c["position"] for c in await read_coverages(loaded.clinic, desk, patient_id)] == [1]


async def test_adams_treats_some_whom_baker_does_not_and_they_share_others(loaded: Demo):
    adams = await patients_of(loaded, "dr.adams@demo")
    baker = await patients_of(loaded, "dr.baker@demo")
    assert adams.keys() - baker.keys()
    assert baker.keys() - adams.keys()
    assert adams.keys() & baker.keys()
    stranger = next(iter(adams.keys() - baker.keys()))
    with pytest.raises(NotFound):
        await read_patient(loaded.clinic, await loaded.me("dr.baker@demo"), stranger)


async def test_every_doctor_has_two_weeks_of_availability_and_a_right_npi(loaded: Demo):
    windows = await loaded.rows(
        "SELECT d.npi, count(*) AS n, min(valid_from) AS first, max(valid_until) AS last, bool_and(start_time < end_time) AS right_way "
        "FROM doctor d JOIN schedule s ON s.doctor_id = d.id GROUP BY 1"
    )
    fortnight = now().date() + timedelta(days=14)
    assert {w["npi"] for w in windows} == {row[3] for row in DOCTORS}
    assert len(windows) == 6
    for window in windows:
        assert is_npi(window["npi"])
        assert window["n"] >= 3
        assert window["right_way"]
        assert window["first"] <= now().date()
        assert window["last"] is None or window["last"] >= fortnight


async def test_visits_lie_in_the_past_and_in_the_future_within_the_doctors_hours(loaded: Demo):
    visits = await loaded.rows(
        "SELECT a.status, a.starts_at > now() AS coming, EXISTS (SELECT FROM schedule s WHERE s.doctor_id = a.doctor_id "
        "AND s.weekday = extract(isodow FROM a.starts_at AT TIME ZONE s.time_zone) "
        "AND (a.starts_at AT TIME ZONE s.time_zone)::time >= s.start_time "
        "AND (a.ends_at AT TIME ZONE s.time_zone)::time <= s.end_time) AS within FROM appointment a"
    )
    past = [v for v in visits if not v["coming"]]
    coming = [v for v in visits if v["coming"]]
    assert len(past) > 40
    assert len(coming) > 15
    assert {v["status"] for v in past} == {"fulfilled"}
    assert {v["status"] for v in coming} == {"booked"}
    assert all(v["within"] for v in visits)


async def test_the_patient_reads_their_own_record_and_nobody_elses(loaded: Demo):
    me = await loaded.me("patient@demo")
    (own,) = await patients_of(loaded, "patient@demo")
    assert own == me.subject.patient_id
    records, _ = await list_records(loaded.clinic, me, own, limit=100)
    assert records
    assert {record.status for record in records} == {"final"}


async def test_the_nurse_sees_some_patients_and_only_normal_records(loaded: Demo):
    me = await loaded.me("nurse@demo")
    found = await patients_of(loaded, "nurse@demo")
    assert 0 < len(found) < 30
    for patient_id in found:
        records, _ = await list_records(loaded.clinic, me, patient_id, limit=100)
        assert {record.sensitivity for record in records} <= {"N"}


async def test_adams_has_visits_to_come_and_records_of_every_kind(loaded: Demo):
    me = await loaded.me("dr.adams@demo")
    wanted = Wanted(ZONE, doctor_id=me.subject.doctor_id, status="booked")
    coming, _ = await list_appointments(loaded.clinic, me, wanted, limit=100)
    assert coming
    kinds = set()
    for patient_id in await patients_of(loaded, "dr.adams@demo"):
        records, _ = await list_records(loaded.clinic, me, patient_id, limit=100)
        kinds |= {record.kind for record in records}
    assert kinds == {"note", "diagnosis", "prescription", "observation", "allergy"}
