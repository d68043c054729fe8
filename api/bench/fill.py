"""The clinic that is measured: one doctor treats every patient, and each patient has twenty signed notes."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import orjson

from api.bench import floor
from core.clock import now
from core.crypto.keyring import open_provider
from core.ids import new_id
from core.pool import alone
from core.settings import Settings
from policies.facts import Environment, Subject
from policies.vocabulary import Purpose, Role
from records.access.me import Me
from records.access.models import CareTeam
from records.audit.event import Origin
from records.base import add
from records.clinic import Clinic
from records.clinical.models import RecordKind, RecordStatus
from records.clinical.writing import Draft, write_record
from records.identity import accounts, sessions
from records.identity.ours import CLI
from records.identity.tokens import Tokens
from records.people.details import PatientDetails
from records.people.models import Doctor
from records.people.registration import register
from records.scheduling.booking import book

PEOPLE = 32
"""Patients, and as many doctors: concurrent bookings then never want the same one."""
NOTES = 20
TITLE = "Follow-up visit"
CONTENT = {
    "subjective": "Slept badly, and woke twice with palpitations that settled without help. " * 3,
    "objective": "Pulse 76 and regular, blood pressure 132 over 84, lungs clear on both sides. "
    * 3,
    "assessment": "Known condition, stable under the present treatment; no new findings today. "
    * 3,
    "plan": "Go on as before, keep the diary, come sooner if it gets worse. " * 2,
}
"""About 870 bytes as JSON."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What the requests name, and two access tokens."""

    patients: list[UUID]
    doctors: list[UUID]
    records: list[UUID]
    doctor_token: str
    desk_token: str


async def fill(chosen: Settings) -> Filled:
    """Fill an empty, migrated database through the same acts as the API; copy its records for the floor."""
    async with Clinic.open(chosen.postgres_url, open_provider(chosen.kms), pool=2) as clinic:
        doctors = [Doctor(family=f"Doctor {n}", given="Bench") for n in range(PEOPLE)]
        async with clinic.database.transaction() as session:
            await add(session, *doctors)
        doctor = await _account(clinic, "doctor", doctors[0].id)
        desk = await _account(clinic, "receptionist", None)
        charts = [await _patient(clinic, desk, doctor, n) for n in range(PEOPLE)]
        tokens = [await _token(clinic, chosen, me) for me in (doctor, desk)]
    await _copy(chosen)
    patients = [patient for patient, _ in charts]
    records = [record for _, notes in charts for record in notes]
    return Filled(patients, [d.id for d in doctors], records, *tokens)


async def _account(clinic: Clinic, role: str, doctor_id: UUID | None) -> Me:
    """Make an account; what a role may is the policy's to say."""
    async with clinic.database.transaction() as session:
        account = await accounts.create(
            session,
            clinic.indexes,
            username=f"{role}@bench",
            password=str(new_id()),
            roles=[Role(role)],
            doctor_id=doctor_id,
        )
    subject = Subject(account.id, frozenset(account.roles), doctor_id)
    return Me(subject, Environment(Purpose.TREATMENT), Origin("confide bench", str(account.id)))


async def _patient(clinic: Clinic, desk: Me, doctor: Me, number: int) -> tuple[UUID, list[UUID]]:
    """Register a patient whom the doctor treats, with a visit and its notes."""
    details = PatientDetails(
        {"family": f"Patient {number}", "given": "Bench"}, date(1970, 1, 1), "other"
    )
    treating = doctor.subject.doctor_id
    assert treating
    async with clinic.database.transaction() as session:
        chart = await register(session, clinic, desk, details)
        await add(session, CareTeam(patient_id=chart.patient_id, doctor_id=treating))
    async with clinic.database.transaction() as session:
        visit = await book(
            session,
            clinic,
            desk,
            patient_id=chart.patient_id,
            doctor_id=treating,
            start=slot(number),
        )
        draft = Draft(RecordKind.NOTE, TITLE, CONTENT, status=RecordStatus.FINAL)
        notes = [
            (await write_record(session, clinic, doctor, visit.id, draft)).id for _ in range(NOTES)
        ]
    return chart.patient_id, notes


def slot(number: int) -> datetime:
    """Return the start of the n-th half hour from tomorrow on."""
    tomorrow = (now() + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return tomorrow + timedelta(minutes=30 * number)


async def _token(clinic: Clinic, chosen: Settings, me: Me) -> str:
    made = Tokens.of(chosen)
    async with clinic.database.transaction() as session:
        family = await sessions.start(session, me.subject.id, CLI, "openid", made.life)
    return made.access(family)


async def _copy(chosen: Settings) -> None:
    """Give the floor the same rows in clear, and the planner fresh figures of both."""
    async with alone(chosen.postgres_url) as connection:
        await connection.execute(floor.SCHEMA)
        await connection.execute(floor.COPY, TITLE, orjson.dumps(CONTENT).decode())
        await connection.execute("VACUUM ANALYZE")
