"""A small clinic for tests: two doctors, a front desk, a nurse, compliance, and a patient whom only Adams treats."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import orjson
from sqlmodel import SQLModel

from core.clock import now
from core.crypto.keyring import FileKeyring
from core.ids import new_id
from policies.clearance import cleared
from policies.facts import Environment, Subject
from policies.vocabulary import Purpose, Role
from records.access.me import Me
from records.anchors import taken
from records.audit.event import Origin
from records.base import add
from records.clinic import Clinic
from records.clinical.models import RecordKind
from records.clinical.reading import OpenRecord
from records.clinical.writing import Draft, write_record
from records.identity import accounts
from records.people.details import IdentifierDetails, PatientDetails
from records.people.models import Doctor
from records.people.registration import register
from records.scheduling.booking import book
from records.scheduling.supply import Schedule

MRN = "http://clinic.example/mrn"
DETAILS = PatientDetails(
    name={"family": "Quillfeather", "given": "Philippa"},
    birth_date=date(1971, 3, 9),
    sex="female",
    phone="+1 555 010 7788",
    email="philippa@quillfeather.example",
    address={"line": ["7 Larkspur Row"], "city": "Nettlebed"},
)
PASSWORD = "correct horse battery staple"


def keyring(home: Path) -> FileKeyring:
    """Return the keyring of a test's home, made at the first call."""
    path = home / "keyring.json"
    return FileKeyring(path) if path.exists() else FileKeyring.create(path)


@asynccontextmanager
async def open_clinic(url: str, home: Path) -> AsyncIterator[Clinic]:
    async with Clinic.open(url, keyring(home), pool=8) as clinic:
        yield clinic


def me_as(subject: Subject, purpose: Purpose = Purpose.TREATMENT) -> Me:
    """Return a caller, as the API makes one of a token."""
    subject = replace(subject, clearances=cleared(subject.roles, None))
    return Me(subject, Environment(purpose), Origin("TEST", str(new_id())), None)


@dataclass(frozen=True)
class People:
    """Everybody in the small clinic, and what there is to read."""

    adams: Me
    baker: Me
    reception: Me
    nurse: Me
    compliance: Me
    admin: Me
    patient: Me
    patient_id: UUID
    appointment_id: UUID
    record: OpenRecord


async def _account(clinic: Clinic, name: str, role: Role, doctor: UUID | None = None) -> Me:
    async with clinic.database.transaction() as session:
        account = await accounts.create(
            session,
            clinic.indexes,
            username=f"{name}@test",
            password=PASSWORD,
            roles=[role],
            doctor_id=doctor,
        )
    return me_as(Subject(account.id, frozenset({role}), doctor))


async def _doctor(clinic: Clinic, family: str) -> Me:
    doctor = Doctor(family=family.title(), given="Test")
    async with clinic.database.transaction() as session:
        await add(session, doctor)
    return await _account(clinic, f"dr.{family}", Role.DOCTOR, doctor.id)


async def populate(clinic: Clinic) -> People:
    """Fill an empty clinic. Adams has an appointment with the patient tomorrow and has written a note."""
    adams, baker = await _doctor(clinic, "adams"), await _doctor(clinic, "baker")
    roles = (Role.RECEPTIONIST, Role.NURSE, Role.COMPLIANCE, Role.ADMIN)
    desk, nurse, compliance, admin = [await _account(clinic, role, role) for role in roles]
    identifiers = [IdentifierDetails("MR", MRN, "MRN-4711-QX")]
    async with clinic.database.transaction() as session:
        chart = await register(session, clinic, desk, DETAILS, identifiers)
    tomorrow = (now() + timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
    assert adams.subject.doctor_id
    async with clinic.database.transaction() as session:
        visit = await book(
            session,
            clinic,
            desk,
            patient_id=chart.patient_id,
            doctor_id=adams.subject.doctor_id,
            start=tomorrow,
            reason="Recurring megrims",
        )
    draft = Draft(RecordKind.NOTE, "Megrims", {"text": "Aura, then pain behind the left eye."})
    async with clinic.database.transaction() as session:
        record = await write_record(session, clinic, adams, visit.id, draft)
    async with clinic.database.transaction() as session:
        account = await accounts.create(
            session,
            clinic.indexes,
            username="patient@test",
            password=PASSWORD,
            roles=[Role.PATIENT],
            patient_id=chart.patient_id,
        )
    patient = me_as(Subject(account.id, frozenset({Role.PATIENT}), None, chart.patient_id))
    return People(
        adams, baker, desk, nurse, compliance, admin, patient, chart.patient_id, visit.id, record
    )


async def open_always(clinic: Clinic, doctor: Me) -> None:
    """Give a doctor hours at any time: patients book with nobody who has none."""
    doctor_id, day = doctor.subject.doctor_id, now().date() - timedelta(days=1)
    assert doctor_id
    windows = [
        Schedule(
            doctor_id=doctor_id,
            weekday=weekday,
            start_time=time(),
            end_time=time(),
            time_zone="UTC",
            valid_from=day,
        )
        for weekday in range(1, 8)
    ]
    async with clinic.database.transaction() as session:
        await add(session, *windows)


async def slip_in(clinic: Clinic, *rows: SQLModel) -> None:
    """Insert rows that no event names."""
    async with clinic.database.transaction() as session:
        await add(session, *rows)
        taken(session)


async def outbox(url: str) -> list[dict]:
    """Return the events that are durable but not in the ledger yet, oldest first."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT body FROM audit.outbox ORDER BY event_id")
    await connection.close()
    return [orjson.loads(row["body"]) for row in rows]
