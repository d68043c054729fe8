"""Reading patients: who they are, their identifiers and insurance; one by one, listed, or found by an identifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import ColumnElement, Select, bindparam, select

from core.crypto.envelope import Value
from core.database import Query
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.listing import BEFORE, Listing, cut, labelled, page, with_facts
from records.access.me import Me
from records.access.relations import (
    asking,
    department_of,
    ids_of,
    person_of,
    related,
    relations,
)
from records.base import Executor, phi_names, table_of
from records.clinic import Clinic
from records.people.details import Chart, IdentifierDetails, PatientDetails
from records.people.models import Identifier, Patient
from records.vault.vault import key_columns, sealed_rows, still_there, with_key

_patient, _identifier = table_of(Patient).c, table_of(Identifier).c


def facts_of(patient: Any) -> dict[str, ColumnElement[Any]]:
    """Return what a rule may ask of a patient, as SQL over a row of theirs: for a read and for a list alike."""
    return {
        "patient_id": patient.patient_id,
        "department": department_of(patient.preferred_doctor_id),
        **relations(patient.patient_id),
    }


COLUMNS: Final = {"id": _patient.id, **facts_of(_patient)}
FACTS: Final = labelled(facts_of(_patient))
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
OF_PERSON: Final = _patient.id == person_of(_ID)
"""The WHERE of the one row that a patient's id resolves to."""


def patient_rows() -> Select[Any]:
    """Return the SELECT of patients with everything that reading, listing and amending one needs."""
    return with_facts(_rows(), facts_of)


def everybody() -> Select[Any]:
    """Return the SELECT of patients who were not erased, for a list."""
    return _rows().where(still_there())


def _rows() -> Select[Any]:
    return sealed_rows(Patient, *(_patient[name] for name in _HEAD), _patient.replaced_by)


def identifier_rows() -> Select[Any]:
    """Return the SELECT of identifiers in use, in the order they were given."""
    head = [_identifier[n] for n in ("type", "system", "use", "valid_from", "valid_until")]
    return sealed_rows(Identifier, *head).where(_identifier.active).order_by(_identifier.id)


_ONE: Final = Query(patient_rows().where(OF_PERSON))
_WITH_KEY: Final = (
    select(*key_columns(Patient), _patient.active, *FACTS)
    .select_from(with_key(Patient))
    .where(OF_PERSON)
)
_EVERYBODY: Final = Listing(
    ResourceType.PATIENT,
    everybody()
    .where(_patient.replaced_by.is_(None), _patient.id < BEFORE)
    .order_by(_patient.id.desc()),
    facts_of,
)
_SIGHT: Final = Query(select(_patient.id.label("resource_id"), *FACTS).where(OF_PERSON))
NUMBERS: Final = identifier_rows().where(_identifier.patient_id.in_(ids_of(_ID)))
_IDENTIFIERS: Final = Query(NUMBERS)


async def read_patient(clinic: Clinic, me: Me, patient_id: UUID) -> OpenPatient:
    """Return one patient with identifiers, or raise NotFound alike for hidden and absent ones."""
    row = await clinic.database.one(_ONE, patient_id=patient_id, **asking(me))
    if row is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.PATIENT, patient_id)
    whose = resource_of(row)
    permit = await clinic.gate.read(me, Action.READ, whose)
    phi = await clinic.reveal(me, permit, Patient, row)
    numbers = await clinic.database.all(_IDENTIFIERS, patient_id=row["patient_id"])
    return opened_patient(row, phi, await opened_identifiers(clinic, me, whose, permit, numbers))


async def list_patients(
    clinic: Clinic, me: Me, *, limit: int, after: UUID | None = None
) -> tuple[Sequence[OpenPatient], UUID | None]:
    """Return the patients the caller may see, newest first, and where the next page starts."""
    span = page(me, limit, after)
    query = clinic.gate.listed(me, _EVERYBODY, span["limit"])
    rows = await clinic.database.all(query, **span)
    first, last = cut(rows, limit)
    return await disclosed(clinic, me, first), last


async def patient_in_sight(clinic: Clinic, me: Me, patient_id: UUID) -> Resource:
    """Return the facts of whom a patient's id resolves to, if the caller may see them; else raise NotFound."""
    resource = resource_of(await facts_in_sight(clinic, me, patient_id))
    await clinic.gate.require(me, Action.READ, resource)
    return resource


async def require_sight(clinic: Clinic, me: Me, patient: Resource, within: Resource) -> None:
    """Refuse a visit to whoever may not see the patient, or sees them in an emergency alone.

    A visit opens the chart to its doctor, who would let themselves in, and for longer than an emergency lasts. What the
    token is for is not asked here.
    """
    calm, unbound = replace(patient, break_glass=False), replace(me, scope=None)
    await clinic.gate.require(unbound, Action.READ, calm, within)


async def facts_in_sight(clinic: Clinic, me: Me, patient_id: UUID) -> Mapping[str, Any]:
    """Return the facts of whom a patient's id resolves to, still to be decided about; NotFound when there is none."""
    found = await clinic.database.one(_SIGHT, patient_id=patient_id, **asking(me))
    facts: Mapping[str, Any] | None = found
    if facts is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.PATIENT, patient_id)
    return facts


async def patient_with_key(
    session: Executor, clinic: Clinic, me: Me, action: Action, patient_id: UUID
) -> Mapping[str, Any]:
    """Return whom a patient's id resolves to, with key and facts, for what hangs on them; NotFound when there is none."""
    found = await session.execute(_WITH_KEY, {"patient_id": patient_id, **asking(me)})
    row: Mapping[str, Any] | None = found.mappings().first()
    if row is None:
        await clinic.gate.absent(me, action, ResourceType.PATIENT, patient_id)
    return row


def resource_of(row: Mapping[str, Any], kind: ResourceType = ResourceType.PATIENT) -> Resource:
    """Return what the policy looks at of a fetched patient (or of what hangs on one)."""
    return Resource(
        kind,
        id=row["resource_id"],
        patient_id=row["resource_id"],
        department=row["department"],
        **related(row),
    )


async def visible(
    clinic: Clinic, me: Me, rows: Select[Any], limit: int | None = None
) -> Sequence[Mapping[str, Any]]:
    """Return what a SELECT of `everybody` finds, the first of it, among those whom the caller may see."""
    listing = Listing(ResourceType.PATIENT, rows, facts_of)
    return await clinic.database.select(clinic.gate.shown(me, listing, limit), asking(me))


async def disclosed(
    clinic: Clinic, me: Me, rows: Sequence[Mapping[str, Any]]
) -> Sequence[OpenPatient]:
    """Open fetched patients for the caller: an event each."""
    found = await clinic.disclose(me, ResourceType.PATIENT, Patient, rows, resource_of)
    return [opened_patient(row, phi) for row, phi in found]


def as_kept(
    chart: Chart,
    details: PatientDetails,
    identifiers: Sequence[IdentifierDetails],
    version: int = 1,
) -> OpenPatient:
    """Return a patient as they were just written, without reading them again."""
    phi = {name: getattr(details, name) for name in phi_names(Patient)}
    doctor = details.preferred_doctor_id
    head = chart.patient_id, version, details.active, doctor, chart.at, chart.at
    return OpenPatient(*head, phi, identifiers)


def opened_patient(
    row: Mapping[str, Any],
    phi: Mapping[str, Value | None],
    identifiers: Sequence[IdentifierDetails] = (),
) -> OpenPatient:
    """Return a fetched patient with what was opened of it."""
    head = {name: row[name] for name in _HEAD}
    return OpenPatient(id=row["resource_id"], **head, phi=phi, identifiers=identifiers)


async def opened_identifiers(
    clinic: Clinic, me: Me, whose: Resource, permit: Permit, rows: Sequence[Mapping[str, Any]]
) -> Sequence[IdentifierDetails]:
    """Open a patient's fetched identifiers; those given under another id of the person are disclosed by themselves."""
    others = {row["patient_id"] for row in rows} - {permit.patient_id}
    permits: dict[Any, Permit] = {permit.patient_id: permit}
    if others:
        elsewhere = [replace(whose, id=other, chart_id=other) for other in others]
        permits |= await clinic.gate.disclose(me, ResourceType.PATIENT, elsewhere)
    head = ("type", "system", "use", "valid_from", "valid_until")
    return [
        IdentifierDetails(
            **{name: row[name] for name in head},
            **await clinic.reveal(me, permits[row["patient_id"]], Identifier, row),  # type: ignore[arg-type]
        )
        for row in rows
    ]
