"""Registering a patient: a key of their own first, then every word sealed under it."""

from collections.abc import Sequence

from core.ids import new_id
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.models import CareTeam, SamePerson
from records.base import Executor, add
from records.clinic import Clinic
from records.people.checking import check
from records.people.details import (
    Chart,
    IdentifierDetails,
    PatientDetails,
    image,
)
from records.people.writing import add_identifiers, insert_patient, keep_version


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

    Raises Forbidden, Invalid (imports are taken as they are), or Conflict(`identifier-taken`) when another patient
    has one of the identifiers.
    """
    if action is not Action.IMPORT:
        check(details, identifiers, only=image(details, identifiers))
    patient_id = new_id()
    resource = Resource(ResourceType.PATIENT, id=patient_id, patient_id=patient_id)
    permit = await clinic.gate.write(session, me, action, resource)
    key_row, key = await clinic.vault.new_key(patient_id)
    chart = Chart(patient_id, permit, key)
    await add(session, key_row)
    await insert_patient(session, clinic, chart, details)
    await add(session, SamePerson(patient_id=patient_id, other_id=patient_id))
    await add_identifiers(session, clinic, chart, identifiers)
    await keep_version(session, clinic, chart, details, identifiers)
    if me.subject.doctor_id:
        await add(session, CareTeam(patient_id=patient_id, doctor_id=me.subject.doctor_id))
    return chart
