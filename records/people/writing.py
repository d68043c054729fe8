"""Writing a patient's row: sealed, indexed, and kept as a version. Registration, amendments and imports all come through here."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, select, tuple_, update

from core.database_errors import translated
from core.errors import Conflict
from core.ids import new_id
from records.base import Executor, add, phi_names, rewrite, table_of
from records.clinic import Clinic
from records.meanings import fitting, meaning
from records.people.details import Chart, IdentifierDetails, PatientDetails, image
from records.people.models import Identifier, Patient, PatientToken, PatientVersion

_patient, _token, _number = table_of(Patient).c, table_of(PatientToken).c, table_of(Identifier).c


async def insert_patient(
    session: Executor, clinic: Clinic, chart: Chart, details: PatientDetails
) -> None:
    """Write a new patient's row and tokens; Invalid when the preferred doctor is not there."""
    values = _sealed(clinic, chart, details)
    row = Patient(
        id=chart.patient_id,
        patient_id=chart.patient_id,
        key_id=chart.key.key_id,
        created_at=chart.at,
        updated_at=chart.at,
        **values,
    )
    with fitting(Patient):
        await add(session, row)
    await clinic.indexes.hold(session)
    await add(session, *_tokens(clinic, chart, details))


async def update_patient(
    session: Executor, clinic: Clinic, chart: Chart, details: PatientDetails, version: int
) -> None:
    """Write a patient's row anew, as this version, and put its tokens in place of the old ones."""
    values = _sealed(clinic, chart, details)
    head = {"key_id": chart.key.key_id, "version": version, "updated_at": chart.at}
    written = update(Patient).where(_patient.id == chart.patient_id).values(**head, **values)
    with fitting(Patient), translated():
        await rewrite(session, written)
    await clinic.indexes.hold(session)
    await session.execute(delete(PatientToken).where(_token.patient_id == chart.patient_id))
    await add(session, *_tokens(clinic, chart, details))


async def keep_version(
    session: Executor,
    clinic: Clinic,
    chart: Chart,
    details: PatientDetails,
    identifiers: Sequence[IdentifierDetails],
    number: int = 1,
) -> None:
    """Keep what is now held to be true of a patient, and who says so."""
    row_id = new_id()
    content = image(details, identifiers)
    cells = clinic.vault.seal(chart.permit, PatientVersion, chart.key, row_id, content=content)
    version = PatientVersion(
        id=row_id,
        patient_id=chart.patient_id,
        key_id=chart.key.key_id,
        number=number,
        author_id=chart.permit.subject_id,
        **cells,
    )
    await add(session, version)


async def add_identifiers(
    session: Executor, clinic: Clinic, chart: Chart, identifiers: Sequence[IdentifierDetails]
) -> None:
    """Give a patient identifiers, each unique in its system, under whichever index key the others stand."""
    await clinic.indexes.hold(session)
    names = ((i.system, t) for i in identifiers for t in clinic.indexes.identifiers(i.value))
    held = select(_number.id).where(
        _number.active, tuple_(_number.system, _number.token).in_(names)
    )
    taken = Conflict("another patient has this identifier", code="identifier-taken")
    if (await session.execute(held)).first():
        raise taken
    with meaning(taken, "uq-identifier-active"):
        await add(session, *(_identifier(clinic, chart, i) for i in identifiers))


async def end_identifiers(session: Executor, ids: Sequence[Any]) -> None:
    """Take identifiers out of use; they stay, and another patient may have the number."""
    ended = update(Identifier).where(_number.id.in_(ids)).values(active=False)
    await rewrite(session, ended)


def _sealed(clinic: Clinic, chart: Chart, details: PatientDetails) -> dict[str, Any]:
    values = asdict(details)
    phi = {name: values.pop(name) for name in phi_names(Patient)}
    return {
        **values,
        **clinic.vault.seal(chart.permit, Patient, chart.key, chart.patient_id, **phi),
    }


def _tokens(clinic: Clinic, chart: Chart, details: PatientDetails) -> Iterator[PatientToken]:
    for index, token in clinic.indexes.tokens(Patient, asdict(details)):
        yield PatientToken(
            index=index,
            key_version=clinic.indexes.version,
            token=token,
            patient_id=chart.patient_id,
        )


def _identifier(clinic: Clinic, chart: Chart, given: IdentifierDetails) -> Identifier:
    row_id = new_id()
    values = asdict(given)
    cells = clinic.vault.seal(
        chart.permit, Identifier, chart.key, row_id, value=values.pop("value")
    )
    return Identifier(
        id=row_id,
        patient_id=chart.patient_id,
        key_id=chart.key.key_id,
        token=clinic.indexes.identifier(given.value),
        key_version=clinic.indexes.version,
        **values,
        **cells,
    )
