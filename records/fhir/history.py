"""A patient's visits and what was written at them: heads and sealed versions, in as few statements as there are kinds."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select

from core.errors import Invalid
from core.ids import new_id
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import ResourceType
from records.base import add, table_of
from records.clinical.models import Record, RecordStatus, RecordVersion
from records.clinical.writing import Draft, rows_of
from records.fhir.charts import Desk, Whose
from records.fhir.doctors import chunks
from records.fhir.found import FoundRecord, FoundVisit
from records.fhir.node import Broken
from records.fhir.tally import KnownDoctor
from records.scheduling.models import Appointment

Doctors = Mapping[str, KnownDoctor]

_visit, _record = table_of(Appointment).c, table_of(Record).c


async def keep_history(
    desk: Desk, whose: Whose, visits: Sequence[FoundVisit], doctors: Doctors
) -> None:
    """Add the visits that are new, oldest first, and the records that are new at any of them."""
    source = desk.clinic.indexes.source
    named = {source(f"{whose.id}/{visit.reference}"): visit for visit in visits}
    mine = select(_visit.source, _visit.id).where(_visit.patient_id == whose.id)
    known = dict((await desk.session.execute(mine)).tuples().all())
    new = [(name, visit) for name, visit in named.items() if name not in known]
    desk.tally.count("appointment", len(new), len(named))
    for visit in visits:
        desk.tally.patients[doctors[visit.doctor].id].add(whose.id)
    for some in chunks(new):
        known |= await _add_visits(desk, whose, some, doctors)
    await _keep_records(desk, whose, {known[n]: v for n, v in named.items()}, doctors)


async def _add_visits(
    desk: Desk, whose: Whose, some: Sequence[tuple[str, FoundVisit]], doctors: Doctors
) -> Mapping[str, UUID]:
    ids = {name: new_id() for name, _ in some}
    resources = [
        Resource(
            ResourceType.APPOINTMENT,
            id=ids[name],
            patient_id=whose.id,
            doctor_id=doctors[visit.doctor].id,
            status=visit.status,
        )
        for name, visit in some
    ]
    permit = await desk.allow(*resources)
    rows = [_appointment(desk, permit, whose, ids[n], n, v, doctors) for n, v in some]
    await add(desk.session, *rows)
    return ids


def _appointment(
    desk: Desk,
    permit: Permit,
    whose: Whose,
    row_id: UUID,
    source: str,
    visit: FoundVisit,
    doctors: Doctors,
) -> Appointment:
    vault = desk.clinic.vault
    return Appointment(
        id=row_id,
        patient_id=whose.id,
        person_id=whose.person_id,
        key_id=whose.key.key_id,
        doctor_id=doctors[visit.doctor].id,
        status=visit.status,
        starts_at=visit.start,
        ends_at=visit.end,
        source=source,
        created_by=desk.me.subject.id,
        **vault.seal(permit, Appointment, whose.key, row_id, reason=visit.reason),
    )


async def _keep_records(
    desk: Desk, whose: Whose, visits: Mapping[UUID, FoundVisit], doctors: Doctors
) -> None:
    source = desk.clinic.indexes.source
    mine = select(_record.source).where(_record.patient_id == whose.id)
    known = set((await desk.session.execute(mine)).scalars())
    new: list[_New] = []
    for visit_id, visit in visits.items():
        for record in visit.records:
            name = source(f"{whose.id}/{record.reference}")
            desk.tally.count(record.kind.value, name not in known, 1)
            if name not in known:
                new.append((visit_id, doctors[visit.doctor], record, name))
    for some in chunks(new):
        await _add_records(desk, whose, some)


_New = tuple[UUID, KnownDoctor, FoundRecord, str]


async def _add_records(desk: Desk, whose: Whose, some: Sequence[_New]) -> None:
    ids = [new_id() for _ in some]
    resources = [
        Resource(
            ResourceType.RECORD,
            id=record_id,
            patient_id=whose.id,
            author_id=doctor.account_id,
            doctor_id=doctor.id,
            status=RecordStatus.FINAL,
            kind=record.kind,
            sensitivity=record.sensitivity,
            categories=record.categories,
        )
        for record_id, (_, doctor, record, _) in zip(ids, some, strict=True)
    ]
    permit = await desk.allow(*resources)
    pairs = [_sealed(desk, permit, whose, i, new) for i, new in zip(ids, some, strict=True)]
    await add(desk.session, *(head for head, _ in pairs), *(version for _, version in pairs))


def _sealed(
    desk: Desk, permit: Permit, whose: Whose, record_id: UUID, new: _New
) -> tuple[Record, RecordVersion]:
    visit_id, doctor, record, name = new
    draft = Draft(
        record.kind,
        record.title,
        dict(record.content),
        record.sensitivity,
        record.categories,
        RecordStatus.FINAL,
        name,
    )
    try:
        return rows_of(
            desk.clinic, permit, whose.key, record_id, visit_id, draft, doctor.account_id
        )
    except (ValueError, Invalid):
        raise Broken(record.pointer, "does-not-fit-a-record") from None
