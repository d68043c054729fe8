"""What the clinic held to be true of a patient, version by version: decided and noted like the present one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import Integer, bindparam, select

from core.database import Query
from core.errors import NotFound
from policies.vocabulary import Action
from records.access.me import Me
from records.base import table_of
from records.clinic import Clinic
from records.people.models import PatientVersion
from records.people.reading import patient_in_sight
from records.vault.vault import sealed_rows

_version = table_of(PatientVersion).c
_OF: Final = _version.patient_id == bindparam("patient_id", type_=PGUUID())
_HEAD: Final = (_version.number, _version.author_id, _version.written_at)
_ALL: Final = Query(select(*_HEAD).where(_OF).order_by(_version.number.desc()))
_ONE: Final = Query(
    sealed_rows(PatientVersion, *_HEAD).where(_OF, _version.number == bindparam("n", type_=Integer))
)


async def list_versions(clinic: Clinic, me: Me, patient_id: UUID) -> Sequence[Mapping[str, Any]]:
    """Return who wrote which version of a patient when, newest first; nothing of what they wrote."""
    await clinic.gate.read(me, Action.READ, await patient_in_sight(clinic, me, patient_id))
    return [dict(row) for row in await clinic.database.all(_ALL, patient_id=patient_id)]


async def read_version(clinic: Clinic, me: Me, patient_id: UUID, number: int) -> Mapping[str, Any]:
    """Return one version, opened, or raise NotFound."""
    whose = await patient_in_sight(clinic, me, patient_id)
    resource = replace(whose, id=patient_id, chart_id=patient_id)
    permit = await clinic.gate.read(me, Action.READ, resource)
    row = await clinic.database.one(_ONE, patient_id=patient_id, n=number)
    if row is None:
        raise NotFound("there is no such version")
    opened = await clinic.reveal(me, permit, PatientVersion, row)
    return {**{c.name: row[c.name] for c in _HEAD}, "patient": opened["content"]}
