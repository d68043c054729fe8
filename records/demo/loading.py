"""Loading the demo clinic: in one transaction, through the gate and the vault like everything else."""

from collections.abc import Mapping
from uuid import UUID
from zoneinfo import ZoneInfo

from core.clock import now
from core.crypto.keyring import open_provider
from core.settings import Settings
from policies.facts import Resource
from policies.vocabulary import ResourceType, Role
from records.base import add
from records.clinic import Clinic
from records.clinical.models import RecordKind
from records.demo import charts, house
from records.demo.accounts import PASSWORD
from records.demo.people import ACCOUNTS
from records.fhir.charts import Desk, keep_coverages, keep_patient, keep_team
from records.fhir.doctors import keep_doctors
from records.fhir.history import keep_history
from records.fhir.tally import KnownDoctor, Member, Tally
from records.identity.commands import command_line
from records.identity.models import Account
from records.identity.passwords import passwords
from records.scheduling.catalogue import add_item
from records.scheduling.practice import practise
from records.scheduling.supply import Location, Service


async def load_all(chosen: Settings) -> str:
    """Load all of the demo clinic, or nothing; return one sentence with the counts."""
    provider = open_provider(chosen.kms)
    async with Clinic.open(chosen.postgres_url, provider, pool=2, deadline=10) as clinic:
        me = await command_line(clinic, "confide seed")
        secret = await passwords().hash(PASSWORD)
        async with clinic.database.transaction() as session:
            desk = Desk(session, clinic, me, Tally())
            site = await _house(desk)
            doctors = await _doctors(desk, secret, chosen.time_zone, site)
            staff = await _accounts(desk, secret)
            patients = await _patients(desk, doctors, Member(account_id=staff[Role.NURSE]), chosen)
            await _accounts(desk, secret, patients[0])
    made = desk.tally.created
    records = sum(made[kind] for kind in RecordKind)
    return (
        f"Loaded the demo clinic: {made['doctor']} doctors, {made['patient']} patients, "
        f"{made['appointment']} appointments, {records} records."
    )


async def _house(desk: Desk) -> UUID:
    """Make the places and the kinds of visit; return the site."""
    places = list(house.locations())
    offers: list[Location | Service] = [*places, *house.services()]
    for offer in offers:
        await add_item(desk.session, desk.clinic, desk.me, offer)
    return places[0].id


async def _doctors(desk: Desk, secret: str, zone: str, site: UUID) -> Mapping[str, KnownDoctor]:
    known = await keep_doctors(
        desk.session, desk.clinic, desk.me, charts.doctors(), secret, desk.tally
    )
    today = now().astimezone(ZoneInfo(zone)).date()
    await desk.allow(*(Resource(ResourceType.DOCTOR, id=doctor.id) for doctor in known.values()))
    for login, doctor in known.items():
        await add(desk.session, *charts.schedules(login, doctor.id, zone, today))
        await practise(desk.session, doctor.id, [site])
    return known


async def _accounts(desk: Desk, secret: str, patient_id: UUID | None = None) -> Mapping[Role, UUID]:
    """Make the accounts of the staff, or, given a patient, the account of the patient."""
    rows = [
        Account(
            login=desk.clinic.indexes.login(login),
            password_hash=secret,
            roles=[Role(role)],
            patient_id=patient_id,
            label=label or None,
        )
        for login, role, label in ACCOUNTS
        if (role == Role.PATIENT) == (patient_id is not None)
    ]
    await desk.allow(*(Resource(ResourceType.ACCOUNT, id=row.id) for row in rows))
    await add(desk.session, *rows)
    return {row.roles[0]: row.id for row in rows}


async def _patients(
    desk: Desk, doctors: Mapping[str, KnownDoctor], nurse: Member, chosen: Settings
) -> list[UUID]:
    today = now().astimezone(ZoneInfo(chosen.time_zone)).date()
    ids = []
    for number, patient in enumerate(charts.patients(chosen.time_zone, today)):
        whose = await keep_patient(desk, patient)
        await keep_coverages(desk, whose, patient)
        await keep_history(desk, whose, patient.visits, doctors)
        treating = [Member(doctors[login].id) for login in patient.team]
        await keep_team(desk, whose, treating, [nurse] if charts.in_nurses_team(number) else [])
        ids.append(whose.id)
    return ids
