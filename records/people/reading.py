"""Reading patients: who they are, their identifiers and insurance; one by one, listed, or found by an identifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import Select, bindparam, select

from core.crypto.envelope import Value
from core.database import Query
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.listing import BEFORE, LIMIT, Listing, page
from records.access.me import Me
from records.access.relations import asking, in_care_team, own_appointment
from records.base import table_of
from records.clinic import Clinic
from records.people.details import IdentifierDetails
from records.people.models import Coverage, Identifier, Patient
from records.vault.vault import sealed_rows, still_there

_patient, _identifier = table_of(Patient).c, table_of(Identifier).c
_coverage = table_of(Coverage).c
COLUMNS: Final = {
    "id": _patient.id,
    "patient_id": _patient.patient_id,
    "in_care_team": in_care_team(_patient.id),
    "own_appointment": own_appointment(_patient.id),
}
"""What a rule may ask of a patient, as SQL: columns of a read and terms of a list's WHERE alike."""

FACTS: Final = [COLUMNS[n].label(n) for n in ("in_care_team", "own_appointment")]
_ID: Final = bindparam("patient_id", type_=PGUUID())


@dataclass(frozen=True, slots=True)
class OpenPatient:
    """A patient as a reader sees one; `phi` holds the opened columns by name."""

    id: UUID
    version: int
    active: bool
    preferred_doctor_id: UUID | None
    created_at: datetime
    updated_at: datetime
    phi: Mapping[str, Value | None]
    identifiers: Sequence[IdentifierDetails] = ()


_HEAD: Final = ("version", "active", "preferred_doctor_id", "created_at", "updated_at")


def patient_rows() -> Select[Any]:
    """Return the SELECT of patients with everything that reading, listing and amending one needs."""
    return sealed_rows(Patient, *(_patient[name] for name in _HEAD), *FACTS)


def identifier_rows() -> Select[Any]:
    """Return the SELECT of identifiers in use, in the order they were given."""
    head = [_identifier[n] for n in ("type", "system", "use", "valid_from", "valid_until")]
    return sealed_rows(Identifier, *head).where(_identifier.active).order_by(_identifier.id)


_ONE: Final = Query(patient_rows().where(_patient.id == _ID))
_EVERYBODY: Final = Listing(
    ResourceType.PATIENT,
    COLUMNS,
    patient_rows()
    .where(still_there(), _patient.id < BEFORE)
    .order_by(_patient.id.desc())
    .limit(LIMIT),
)
_SIGHT: Final = Query(select(_patient.id.label("resource_id"), *FACTS).where(_patient.id == _ID))
_IDENTIFIERS: Final = Query(identifier_rows().where(_identifier.patient_id == _ID))
_COVERAGES: Final = Query(
    sealed_rows(
        Coverage,
        _coverage.status,
        _coverage.position,
        _coverage.relationship,
        _coverage.valid_from,
        _coverage.valid_until,
    )
    .where(_coverage.patient_id == _ID)
    .order_by(_coverage.position, _coverage.id)
)


async def read_patient(clinic: Clinic, me: Me, patient_id: UUID) -> OpenPatient:
    """Return one patient with identifiers, or raise NotFound alike for hidden and absent ones."""
    row = await clinic.database.one(_ONE, patient_id=patient_id, **asking(me))
    if row is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.PATIENT, patient_id)
    permit = await clinic.gate.read(me, Action.READ, resource_of(row))
    phi = await clinic.reveal(me, permit, Patient, row)
    numbers = await clinic.database.all(_IDENTIFIERS, patient_id=row["patient_id"])
    return opened_patient(row, phi, await opened_identifiers(clinic, me, permit, numbers))


async def list_patients(
    clinic: Clinic, me: Me, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[OpenPatient], UUID | None]:
    """Return the patients the caller may see, newest first, and where the next page starts."""
    query = clinic.gate.listed(me, _EVERYBODY)
    rows = await clinic.database.all(query, **page(me, limit, after))
    found = await disclosed(clinic, me, rows[:limit])
    return found, rows[limit - 1]["resource_id"] if len(rows) > limit else None


async def read_coverages(clinic: Clinic, me: Me, patient_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return a patient's insurances, primary first."""
    facts = await clinic.database.one(_SIGHT, patient_id=patient_id, **asking(me))
    if facts is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.PATIENT, patient_id)
    permit = await clinic.gate.read(me, Action.READ, resource_of(facts, ResourceType.COVERAGE))
    rows = await clinic.database.all(_COVERAGES, patient_id=patient_id)
    return [
        {**row, "id": row["row_id"], **await clinic.reveal(me, permit, Coverage, row)}
        for row in rows
    ]


async def patient_in_sight(clinic: Clinic, me: Me, patient_id: UUID) -> Resource:
    """Return a patient's facts if the caller may see the patient at all; else raise NotFound."""
    facts = await clinic.database.one(_SIGHT, patient_id=patient_id, **asking(me))
    if facts is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.PATIENT, patient_id)
    resource = resource_of(facts)
    await clinic.gate.require(me, Action.READ, resource)
    return resource


def resource_of(row: Mapping[str, Any], kind: ResourceType = ResourceType.PATIENT) -> Resource:
    """Return what the policy looks at of a fetched patient (or of what hangs on one)."""
    return Resource(
        kind,
        id=row["resource_id"],
        patient_id=row["resource_id"],
        in_care_team=row["in_care_team"],
        own_appointment=row["own_appointment"],
    )


async def visible(clinic: Clinic, me: Me, statement: Select[Any]) -> Sequence[Mapping[str, Any]]:
    """Return what a SELECT of patients finds among those whom the caller may see."""
    allowed = clinic.visible(me, ResourceType.PATIENT, COLUMNS)
    return await clinic.database.select(statement.where(allowed), asking(me))


async def disclosed(
    clinic: Clinic, me: Me, rows: Sequence[Mapping[str, Any]]
) -> Sequence[OpenPatient]:
    """Open fetched patients for the caller: an event each."""
    permits = await clinic.gate.disclose(me, ResourceType.PATIENT, map(resource_of, rows))
    return [
        opened_patient(row, await clinic.reveal(me, permits[row["resource_id"]], Patient, row))
        for row in rows
        if row["resource_id"] in permits
    ]


def opened_patient(
    row: Mapping[str, Any],
    phi: Mapping[str, Value | None],
    identifiers: Sequence[IdentifierDetails] = (),
) -> OpenPatient:
    """Return a fetched patient with what was opened of it."""
    head = {name: row[name] for name in _HEAD}
    return OpenPatient(id=row["resource_id"], **head, phi=phi, identifiers=identifiers)


async def opened_identifiers(
    clinic: Clinic, me: Me, permit: Permit, rows: Sequence[Mapping[str, Any]]
) -> Sequence[IdentifierDetails]:
    """Open a patient's fetched identifiers."""
    head = ("type", "system", "use", "valid_from", "valid_until")
    return [
        IdentifierDetails(
            **{name: row[name] for name in head},
            **await clinic.reveal(me, permit, Identifier, row),  # type: ignore[arg-type]
        )
        for row in rows
    ]
