"""A patient of a bundle, put into the clinic's tables: what is there already is left as it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import func, select, tuple_

from core.clock import now
from core.crypto.envelope import DataKey
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.models import CareTeam
from records.access.relations import ids_of
from records.base import Executor, add, table_of
from records.clinic import Clinic, Erased, Unreadable
from records.fhir.found import FoundPatient
from records.fhir.node import Broken
from records.fhir.tally import Member, Tally
from records.people.coverages import add_coverage
from records.people.details import Chart, IdentifierDetails
from records.people.models import Coverage, Identifier, Patient
from records.people.registration import register
from records.people.writing import add_identifiers
from records.vault.vault import sealed_rows

_patient, _identifier = table_of(Patient).c, table_of(Identifier).c
_coverage, _member = table_of(Coverage).c, table_of(CareTeam).c

Number = tuple[str, bytes]
Numbers = Mapping[Number, IdentifierDetails]
"""Identifiers by system and blind-index token."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What every step of an import works with, inside one transaction."""

    session: Executor
    clinic: Clinic
    me: Me
    tally: Tally

    async def allow(self, *resources: Resource) -> Permit:
        """Return the permit to import these; its event commits with the bundle."""
        return await self.clinic.gate.write(self.session, self.me, Action.IMPORT, *resources)


@dataclass(frozen=True, slots=True)
class Whose:
    """A patient at hand: every permit to come is for this id, everything is sealed by this key. `person_id`: see Patient."""

    id: UUID
    person_id: UUID
    key: DataKey


async def keep_patient(desk: Desk, found: FoundPatient) -> Whose:
    """Return a patient who is known by an identifier, or register a new one."""
    await desk.clinic.indexes.hold(desk.session)
    tokens = desk.clinic.indexes.identifier
    numbers = {(i.system, tokens(i.value)): i for i in found.identifiers}
    if known := await _known(desk, found):
        return await _again(desk, found, numbers, known)
    chart = await register(
        desk.session,
        desk.clinic,
        desk.me,
        found.details,
        list(numbers.values()),
        action=Action.IMPORT,
    )
    desk.tally.count("patient", 1, 1)
    desk.tally.count("identifier", len(numbers), len(numbers))
    return Whose(chart.patient_id, chart.patient_id, chart.key)


async def keep_coverages(desk: Desk, whose: Whose, found: FoundPatient) -> None:
    """Give a patient the insurances that are new; of these the one billed last comes first."""
    mine = select(_coverage.source, _coverage.position).where(_coverage.patient_id == whose.id)
    rows = (await desk.session.execute(mine)).all()
    source = desk.clinic.indexes.source
    named = {source(f"{whose.id}/Coverage/{key!r}"): c for key, c in found.coverages.items()}
    missing = named.keys() - {name for name, _ in rows}
    new = sorted(missing, key=lambda name: named[name].billed, reverse=True)
    desk.tally.count("coverage", len(new), len(named))
    if not new:
        return
    resource = Resource(ResourceType.COVERAGE, id=whose.id, patient_id=whose.id)
    chart = Chart(whose.id, await desk.allow(resource), whose.key)
    for position, name in enumerate(new, start=1 + max((p for _, p in rows), default=0)):
        details = replace(named[name].details, position=position)
        await add_coverage(desk.session, desk.clinic, chart, details, name)


async def keep_team(
    desk: Desk, whose: Whose, treating: Iterable[Member], named: Iterable[Member]
) -> None:
    """Complete a care team: with who treats, unless they ever were in it; with who is named, unless they are."""
    mine = select(_member.doctor_id, _member.account_id, _member.valid_until).where(
        _member.patient_id == whose.id
    )
    rows = (await desk.session.execute(mine)).all()
    ever = {Member(doctor, account) for doctor, account, _ in rows}
    current = {Member(d, a) for d, a, until in rows if until is None or until > now()}
    wanted, asked = set(treating), set(named)
    new = sorted((wanted - ever) | (asked - current), key=str)
    desk.tally.count("care team member", len(new), len(wanted | asked))
    if new:
        await desk.allow(Resource(ResourceType.PATIENT, id=whose.id, patient_id=whose.id))
        await add(
            desk.session,
            *(
                CareTeam(patient_id=whose.id, doctor_id=m.doctor_id, account_id=m.account_id)
                for m in new
            ),
        )


def _spelt(desk: Desk, found: FoundPatient) -> Mapping[Number, Number]:
    """Return every token of the bundle's numbers, and which one it would have today: an index key may be turning."""
    indexes = desk.clinic.indexes
    return {
        (i.system, token): (i.system, indexes.identifier(i.value))
        for i in found.identifiers
        for token in indexes.identifiers(i.value)
    }


async def _known(desk: Desk, found: FoundPatient) -> UUID | None:
    """Return who has the bundle's numbers; of files that were joined the one that has most of them."""
    same = tuple_(_identifier.system, _identifier.token).in_(list(_spelt(desk, found)))
    who = _patient.person_id
    holders = (
        select(_patient.id, who)
        .join_from(Patient, Identifier, _identifier.patient_id == _patient.id)
        .where(_identifier.active, same)
        .group_by(_patient.id)
        .order_by(func.count().desc(), _patient.id)
    )
    rows = (await desk.session.execute(holders)).all()
    if len({person for _, person in rows}) > 1:
        raise Broken(f"{found.pointer}/identifier", "identifiers-of-several-patients")
    return rows[0][0] if rows else None


async def _again(desk: Desk, found: FoundPatient, numbers: Numbers, patient_id: UUID) -> Whose:
    """Return a known patient, with the identifiers that are new.

    Broken when the bundle and the clinic disagree about a number: one of the two is another person's.
    """
    mine = select(_identifier.system, _identifier.token).where(
        _identifier.active, _identifier.patient_id.in_(ids_of(patient_id))
    )
    spelt = _spelt(desk, found)
    rows = [(system, bytes(token)) for system, token in (await desk.session.execute(mine)).all()]
    known = {spelt.get(number, number) for number in rows}
    new = {number: details for number, details in numbers.items() if number not in known}
    agreed = {system for system, _ in numbers.keys() & known}
    if {system for system, _ in new} & ({system for system, _ in known} - agreed):
        raise Broken(f"{found.pointer}/identifier", "identifier-of-another-patient")
    whose = await _whose(desk, found, patient_id)
    desk.tally.count("patient", 0, 1)
    desk.tally.count("identifier", len(new), len(numbers))
    if new:
        permit = await desk.allow(Resource(ResourceType.PATIENT, id=whose.id, patient_id=whose.id))
        chart = Chart(whose.id, permit, whose.key)
        await add_identifiers(desk.session, desk.clinic, chart, list(new.values()))
    return whose


async def _whose(desk: Desk, found: FoundPatient, patient_id: UUID) -> Whose:
    rows = sealed_rows(Patient, _patient.person_id).where(_patient.id == patient_id)
    row = (await desk.session.execute(rows)).mappings().one()
    try:
        return Whose(patient_id, row["person_id"], await desk.clinic.key(row))
    except (Erased, Unreadable):
        raise Broken(found.pointer, "patient-was-erased") from None
