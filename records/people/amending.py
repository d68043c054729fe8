"""Amending a patient: on the version the caller has read, allowed before and after, and nothing of before is lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from core.errors import PreconditionFailed
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking
from records.base import Executor, table_of
from records.clinic import Clinic
from records.people.checking import check
from records.people.details import Chart, IdentifierDetails, PatientDetails, image
from records.people.models import Patient
from records.people.reading import (
    NUMBERS,
    OF_PERSON,
    OpenPatient,
    as_kept,
    opened_identifiers,
    patient_rows,
    resource_of,
)
from records.people.writing import (
    add_identifiers,
    end_identifiers,
    keep_version,
    update_patient,
)
from records.vault.vault import locked_row

_LOCKED: Final = patient_rows().where(OF_PERSON).with_for_update(of=table_of(Patient))

Revised = tuple[PatientDetails, Sequence[IdentifierDetails]]


@dataclass(frozen=True, slots=True)
class Standing:
    """A patient as the clinic holds them, locked for a change until the transaction ends."""

    chart: Chart
    row: Mapping[str, Any]
    details: PatientDetails
    identifiers: Mapping[UUID, IdentifierDetails]


async def stand(session: Executor, clinic: Clinic, me: Me, patient_id: UUID) -> Standing:
    """Open whom a patient's id resolves to for a change; NotFound and Forbidden as ever. To change one is to see them."""
    row = await locked_row(session, _LOCKED, {"patient_id": patient_id, **asking(me)})
    if row is None:
        await clinic.gate.absent(me, Action.UPDATE, ResourceType.PATIENT, patient_id)
    stored = resource_of(row)
    await clinic.gate.require(me, Action.READ, stored)
    permit = await clinic.gate.write(session, me, Action.UPDATE, stored)
    phi = await clinic.reveal(me, permit, Patient, row)
    chart = Chart(row["patient_id"], permit, await clinic.key(row))
    numbers = await _identifiers(session, clinic, me, stored, permit)
    return Standing(chart, row, PatientDetails.of({**row, **phi}), numbers)


async def amend(
    session: Executor,
    clinic: Clinic,
    me: Me,
    patient_id: UUID,
    expected: int | None,
    revise: Callable[[Mapping[str, Any]], Revised],
) -> OpenPatient:
    """Change a patient as `revise` says of the JSON that is stored, and return them as they are now.

    A version that is not the `expected` one (None: any will do) is PreconditionFailed. Rules are asked of what changes only.
    """
    before = await stand(session, clinic, me, patient_id)
    if expected is not None and before.row["version"] != expected:
        raise PreconditionFailed("another version is in force")
    held = image(before.details, list(before.identifiers.values()))
    details, identifiers = revise(held)
    wanted = image(details, identifiers)
    changed = {name for name in wanted.keys() | held.keys() if wanted.get(name) != held.get(name)}
    check(details, identifiers, only=changed)
    await clinic.gate.require(me, Action.UPDATE, resource_of({**before.row, **wanted}))
    return await _store(session, clinic, before, details, identifiers)


async def _store(
    session: Executor,
    clinic: Clinic,
    before: Standing,
    details: PatientDetails,
    identifiers: Sequence[IdentifierDetails],
) -> OpenPatient:
    """Store the next version of a patient, and return it."""
    chart, version = before.chart, before.row["version"] + 1
    await update_patient(session, clinic, chart, details, version)
    gone = [row_id for row_id, held in before.identifiers.items() if held not in identifiers]
    if gone:
        await end_identifiers(session, gone)
    known = list(before.identifiers.values())
    await add_identifiers(session, clinic, chart, [i for i in identifiers if i not in known])
    await keep_version(session, clinic, chart, details, identifiers, version)
    patient = as_kept(chart, details, identifiers, version)
    return replace(patient, created_at=before.row["created_at"])


async def _identifiers(
    session: Executor, clinic: Clinic, me: Me, whose: Resource, permit: Permit
) -> Mapping[UUID, IdentifierDetails]:
    found = await session.execute(NUMBERS, {"patient_id": permit.patient_id})
    rows = found.mappings().all()
    opened = await opened_identifiers(clinic, me, whose, permit, rows)
    return {row["row_id"]: each for row, each in zip(rows, opened, strict=True)}
