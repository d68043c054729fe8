"""Importing a bundle: understood as a whole, then stored in one transaction, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import Conflict
from records.access.me import Me
from records.clinic import Clinic
from records.fhir.charts import Desk, keep_coverages, keep_patient, keep_team
from records.fhir.doctors import keep_doctors
from records.fhir.found import Found
from records.fhir.history import keep_history
from records.fhir.node import Broken
from records.fhir.tally import Member, Tally
from records.fhir.understanding import Rejected, understand
from records.identity.commands import NO_PASSWORD


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator asks for: who joins every care team, which password hash new accounts get."""

    members: Sequence[Member] = ()
    password_hash: str = NO_PASSWORD


async def import_bundle(clinic: Clinic, me: Me, raw: bytes, wishes: Wishes) -> tuple[Found, Tally]:
    """Import one bundle and return what was understood and what was done; Rejected if anything is broken.

    A second import of the same bundle finds everything there and writes nothing.
    """
    found = understand(raw)
    tally = Tally()
    try:
        async with clinic.database.transaction() as session:
            await _keep(Desk(session, clinic, me, tally), found, wishes)
    except Broken as broken:
        raise Rejected([broken]) from None
    except Conflict as conflict:
        raise Rejected([Broken("", conflict.code)]) from None
    return found, tally


async def _keep(desk: Desk, found: Found, wishes: Wishes) -> None:
    doctors = await keep_doctors(
        desk.session,
        desk.clinic,
        desk.me,
        found.doctors.values(),
        wishes.password_hash,
        desk.tally,
    )
    for patient in found.patients.values():
        whose = await keep_patient(desk, patient)
        await keep_coverages(desk, whose, patient)
        await keep_history(desk, whose, patient.visits, doctors)
        treating = [Member(doctors[identity].id) for identity in patient.team]
        await keep_team(desk, whose, treating, wishes.members)
