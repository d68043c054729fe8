"""Registering a patient: a key of their own first, then every word sealed under it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from core.crypto.envelope import DataKey
from core.errors import Conflict
from core.ids import new_id
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.models import CareTeam
from records.base import Executor, add
from records.clinic import Clinic
from records.people.models import Coverage, Identifier, Patient


@dataclass(frozen=True, slots=True)
class PatientDetails:
    """Who a patient is. `name` has `family` and `given`; everything here but the ids is PHI."""

    name: Mapping[str, Any]
    birth_date: date
    sex: str
    phone: str | None = None
    email: str | None = None
    address: Mapping[str, Any] | None = None
    emergency_contacts: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class IdentifierDetails:
    """A number that names a patient: HL7 v2-0203 type code, the system's URI, the value."""

    type: str
    system: str
    value: str


@dataclass(frozen=True, slots=True)
class CoverageDetails:
    """An insurance; `position` 1 is the primary one."""

    payor: str
    plan: str | None = None
    member_id: str | None = None
    group_number: str | None = None
    relationship: str = "self"
    position: int = 1
    valid_from: date | None = None
    valid_until: date | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """A patient at hand for writing: the permit to write, and the key to seal with."""

    patient_id: UUID
    permit: Permit
    key: DataKey


async def register(
    session: Executor,
    clinic: Clinic,
    me: Me,
    details: PatientDetails,
    identifiers: Sequence[IdentifierDetails] = (),
    *,
    action: Action = Action.CREATE,
) -> Chart:
    """Create a patient; a doctor who registers one treats them from then on.

    Raises Forbidden, or Conflict(`identifier-taken`) when another patient has one of the identifiers.
    """
    patient_id = new_id()
    resource = Resource(ResourceType.PATIENT, id=patient_id, patient_id=patient_id)
    permit = await clinic.gate.write(session, me, action, resource)
    key_row, key = clinic.vault.new_key(patient_id)
    chart = Chart(patient_id, permit, key)
    await add(session, key_row, _patient(clinic, chart, details))
    await add_identifiers(session, clinic, chart, identifiers)
    if me.subject.doctor_id:
        await add(session, CareTeam(patient_id=patient_id, doctor_id=me.subject.doctor_id))
    return chart


async def add_identifiers(
    session: Executor, clinic: Clinic, chart: Chart, identifiers: Sequence[IdentifierDetails]
) -> None:
    """Give a patient identifiers, each unique in its system."""
    try:
        await add(session, *(_identifier(clinic, chart, i) for i in identifiers))
    except Conflict:
        raise Conflict("another patient has this identifier", code="identifier-taken") from None


async def add_coverage(
    session: Executor,
    clinic: Clinic,
    chart: Chart,
    details: CoverageDetails,
    source: str | None = None,
) -> UUID:
    """Give a patient an insurance."""
    row_id = new_id()
    cells = clinic.vault.seal(
        chart.permit,
        Coverage,
        chart.key,
        row_id,
        payor=details.payor,
        plan=details.plan,
        member_id=details.member_id,
        group_number=details.group_number,
    )
    row = Coverage(
        id=row_id,
        patient_id=chart.patient_id,
        key_id=chart.key.key_id,
        relationship=details.relationship,
        position=details.position,
        valid_from=details.valid_from,
        valid_until=details.valid_until,
        source=source,
        **cells,
    )
    await add(session, row)
    return row_id


def _patient(clinic: Clinic, chart: Chart, details: PatientDetails) -> Patient:
    cells = clinic.vault.seal(
        chart.permit,
        Patient,
        chart.key,
        chart.patient_id,
        name=dict(details.name),
        birth_date=details.birth_date,
        sex=details.sex,
        phone=details.phone,
        email=details.email,
        address=dict(details.address) if details.address else None,
        emergency_contacts=[dict(c) for c in details.emergency_contacts or ()] or None,
    )
    return Patient(
        id=chart.patient_id, patient_id=chart.patient_id, key_id=chart.key.key_id, **cells
    )


def _identifier(clinic: Clinic, chart: Chart, given: IdentifierDetails) -> Identifier:
    row_id = new_id()
    cells = clinic.vault.seal(chart.permit, Identifier, chart.key, row_id, value=given.value)
    return Identifier(
        id=row_id,
        patient_id=chart.patient_id,
        key_id=chart.key.key_id,
        type=given.type,
        system=given.system,
        token=clinic.indexes.identifier(given.value),
        **cells,
    )
