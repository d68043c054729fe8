"""Insurance (FHIR R4 Coverage): kept by the front desk, one order for any day, and the one that holds on the day of a visit."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import ScalarSelect, bindparam, or_, select, update

from core.clock import now
from core.database import Query
from core.errors import Conflict, NotFound, PreconditionFailed
from core.ids import new_id
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import ids_of, related
from records.base import Executor, add, phi_names, rewrite, table_of
from records.clinic import Clinic
from records.meanings import meaning
from records.people.details import Chart, CoverageDetails
from records.people.models import Coverage, CoverageStatus
from records.people.reading import facts_in_sight, patient_with_key, resource_of
from records.vault.vault import locked_row, sealed_rows

_coverage = table_of(Coverage).c
_PHI: Final = phi_names(Coverage)
_HEAD: Final = tuple(
    column
    for column in _coverage
    if column.name not in (*_PHI, "id", "patient_id", "key_id", "source")
)
_ID: Final = bindparam("patient_id", type_=PGUUID())
_THIS: Final = bindparam("coverage_id", type_=PGUUID())
_MINE: Final = sealed_rows(Coverage, *_HEAD).where(_coverage.patient_id.in_(ids_of(_ID)))
_ALL: Final = Query(_MINE.order_by(_coverage.position, _coverage.id))
_LOCKED: Final = _MINE.where(_coverage.id == _THIS).with_for_update(of=table_of(Coverage))

OpenCoverage = Mapping[str, Any]


async def read_coverages(
    clinic: Clinic, me: Me, patient_id: UUID, only: UUID | None = None
) -> Sequence[OpenCoverage]:
    """Return a patient's insurances, primary first, or `only` one; NotFound unless the caller may see them."""
    facts = await facts_in_sight(clinic, me, patient_id)
    await clinic.gate.require(me, Action.READ, _of(facts, None))
    rows = await clinic.database.all(_ALL, patient_id=patient_id)
    rows = [row for row in rows if only in (None, row["row_id"])]
    if only and not rows:
        await clinic.gate.absent(me, Action.READ, ResourceType.COVERAGE, only)
    found = [_of(facts, row["row_id"], row["patient_id"]) for row in rows]
    permits = await clinic.gate.disclose(me, ResourceType.COVERAGE, found)
    return [await _opened(clinic, me, permits[row["row_id"]], row) for row in rows]


async def coverage_in_sight(
    clinic: Clinic, me: Me, patient_id: UUID, coverage_id: UUID
) -> tuple[Resource, Mapping[str, Any]]:
    """Return an insurance, sealed, and what the gate is asked of it; NotFound unless the caller may see it."""
    facts = await facts_in_sight(clinic, me, patient_id)
    rows = await clinic.database.all(_ALL, patient_id=patient_id)
    row = next((row for row in rows if row["row_id"] == coverage_id), None)
    if row is None:
        await clinic.gate.absent(me, Action.READ, ResourceType.COVERAGE, coverage_id)
    resource = _of(facts, coverage_id, row["patient_id"])
    await clinic.gate.require(me, Action.READ, resource)
    return resource, row


async def create_coverage(
    session: Executor, clinic: Clinic, me: Me, patient_id: UUID, details: CoverageDetails
) -> OpenCoverage:
    """Give a patient an insurance; Conflict(`coverage-order`) when another one has its place then."""
    whose = await patient_with_key(session, clinic, me, Action.CREATE, patient_id)
    row_id = new_id()
    permit = await clinic.gate.write(
        session, me, Action.CREATE, _of(whose, row_id), within=resource_of(whose)
    )
    chart = Chart(whose["patient_id"], permit, await clinic.key(whose))
    row = await add_coverage(session, clinic, chart, details, row_id=row_id)
    return {
        **{c.name: getattr(row, c.name) for c in _HEAD},
        **asdict(details),
        "id": row_id,
        "patient_id": row.patient_id,
    }


async def amend_coverage(
    session: Executor,
    clinic: Clinic,
    me: Me,
    patient_id: UUID,
    coverage_id: UUID,
    expected: int | None,
    revise: Callable[[Mapping[str, Any]], CoverageDetails],
) -> OpenCoverage:
    """Change an insurance as `revise` says of its stored details, and return it.

    Raises NotFound, Forbidden, PreconditionFailed unless the version is the `expected` one (None: any will do), and
    Conflict(`coverage-order`).
    """
    whose = await patient_with_key(session, clinic, me, Action.UPDATE, patient_id)
    await clinic.gate.require(me, Action.READ, _of(whose, coverage_id))
    row = await _locked(session, patient_id, coverage_id)
    resource = _of(whose, coverage_id, row["patient_id"])
    permit = await clinic.gate.write(session, me, Action.UPDATE, resource)
    if expected is not None and row["version"] != expected:
        raise PreconditionFailed("another version is in force")
    before = await _opened(clinic, me, permit, row)
    details = revise({name: before[name] for name in CoverageDetails.__slots__})
    chart = Chart(row["patient_id"], permit, await clinic.key(row))
    head = {"version": row["version"] + 1, "eligibility_checked_at": _checked(before, details)}
    values = {**_values(clinic, chart, coverage_id, details), **head}
    with _in_order():
        await rewrite(session, update(Coverage).where(_coverage.id == coverage_id).values(**values))
    return {**before, **asdict(details), **head}


async def add_coverage(
    session: Executor,
    clinic: Clinic,
    chart: Chart,
    details: CoverageDetails,
    source: str | None = None,
    *,
    row_id: UUID | None = None,
) -> Coverage:
    """Write a new insurance of a patient at hand."""
    row_id = row_id or new_id()
    row = Coverage(
        id=row_id,
        patient_id=chart.patient_id,
        source=source,
        eligibility_checked_at=_checked({}, details),
        **_values(clinic, chart, row_id, details),
    )
    with _in_order():
        await add(session, row)
    return row


def insured(patient_id: Any, day: Any) -> ScalarSelect[UUID]:
    """Return, as SQL, which insurance of a patient comes first on a day; NULL for none."""
    return (
        select(_coverage.id)
        .where(
            _coverage.patient_id.in_(ids_of(patient_id)),
            _coverage.status == CoverageStatus.ACTIVE,
            or_(_coverage.valid_from.is_(None), _coverage.valid_from <= day),
            or_(_coverage.valid_until.is_(None), _coverage.valid_until >= day),
        )
        .order_by(_coverage.position, _coverage.id)
        .limit(1)
        .scalar_subquery()
    )


def _of(
    facts: Mapping[str, Any], coverage_id: UUID | None, chart_id: UUID | None = None
) -> Resource:
    return Resource(
        ResourceType.COVERAGE,
        id=coverage_id,
        patient_id=facts["resource_id"],
        department=facts["department"],
        **related(facts),
        chart_id=chart_id,
    )


async def _locked(session: Executor, patient_id: UUID, coverage_id: UUID) -> Mapping[str, Any]:
    named = {"patient_id": patient_id, "coverage_id": coverage_id}
    row = await locked_row(session, _LOCKED, named)
    if row is None:
        raise NotFound("there is no such insurance")
    return row


async def _opened(clinic: Clinic, me: Me, permit: Permit, row: Mapping[str, Any]) -> OpenCoverage:
    phi = await clinic.reveal(me, permit, Coverage, row)
    return {"id": row["row_id"], **{column.name: row[column.name] for column in _HEAD}, **phi}


def _values(clinic: Clinic, chart: Chart, row_id: UUID, details: CoverageDetails) -> dict[str, Any]:
    values = asdict(details)
    phi = {name: values.pop(name) for name in _PHI}
    cells = clinic.vault.seal(chart.permit, Coverage, chart.key, row_id, **phi)
    return {"key_id": chart.key.key_id, **values, **cells}


def _checked(before: Mapping[str, Any], details: CoverageDetails) -> datetime | None:
    """Return when it was last asked whether the payor pays: now, if the answer is a new one."""
    if details.eligibility is None:
        return None
    same = before.get("eligibility") == details.eligibility
    return before["eligibility_checked_at"] if same else now()


def _in_order() -> AbstractContextManager[None]:
    taken = "another insurance has this position at that time"
    return meaning(Conflict(taken, code="coverage-order"), "coverage-order")
