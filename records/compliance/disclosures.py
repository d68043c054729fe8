"""The accounting of disclosures (45 CFR 164.528): to whom the clinic gave a patient's data beyond care, payment and its own work.

Whoever discloses writes it down here; recipient and description are sealed under the patient's key. What one may not be told
yet, because an authority asked for that, is shown to those who check and not to the patient until the suspension ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import and_, bindparam, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import now
from core.database import Query
from core.errors import Conflict, FieldError, Invalid
from core.ids import new_id
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.base import add, table_of
from records.clinic import Clinic
from records.compliance.models import EXCLUDED, Disclosure, DisclosurePurpose
from records.compliance.persons import person
from records.compliance.proving import evidence
from records.vault.models import KeyState, PatientKey
from records.vault.vault import sealed_rows

YEARS: Final = timedelta(days=6 * 365 + 2)
"""How far back an accounting reaches."""
_row, _key = table_of(Disclosure).c, table_of(PatientKey).c
_ID: Final = bindparam("patient_id", type_=PGUUID())
_KEY: Final = Query(
    select(
        _key.patient_id, _key.key_id, _key.version.label("key_version"),
        _key.state.label("key_state"), _key.kek_version, _key.wrapped,
    ).where(_key.patient_id == _ID, _key.state == KeyState.ACTIVE)
)  # fmt: skip
_PLAIN: Final = ("purpose", "disclosed_at", "suspended_until", "event_id", "recorded_at")


class Standing(StrEnum):
    """Whether the patient may be told."""

    TOLD = "told"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Given:
    """What was disclosed, as somebody writes it down."""

    purpose: DisclosurePurpose
    disclosed_at: datetime
    recipient: Mapping[str, Any]
    description: str
    suspended_until: datetime | None = None


async def disclose(
    session: AsyncSession, clinic: Clinic, me: Me, patient_id: UUID, given: Given
) -> Mapping[str, Any]:
    """Write a disclosure down, once it has happened."""
    whose = await person(clinic, me, patient_id, Action.CREATE, ResourceType.DISCLOSURE)
    if given.disclosed_at > now():
        fault = FieldError(
            "/disclosed_at", "future", "a disclosure is written down after it happened"
        )
        raise Invalid(errors=[fault])
    made = new_id()
    about = Resource(ResourceType.DISCLOSURE, id=made, patient_id=whose.id)
    chart = Resource(ResourceType.DISCLOSURE, patient_id=whose.id, status=Standing.TOLD)
    permit = await clinic.gate.write(session, me, Action.CREATE, about, within=chart)
    sealed = await clinic.database.one(_KEY, patient_id=whose.id)
    if sealed is None:
        raise Conflict("the patient's data was destroyed", code="conflict")
    key = await clinic.key(sealed)
    words: dict[str, Any] = {
        "recipient": dict(given.recipient),
        "description": given.description,
    }
    cells = clinic.vault.seal(permit, Disclosure, key, made, **words)
    row = Disclosure(
        id=made,
        patient_id=whose.id,
        key_id=key.key_id,
        purpose=given.purpose,
        disclosed_at=given.disclosed_at,
        suspended_until=given.suspended_until,
        event_id=permit.event_id,
        recorded_by=me.subject.id,
        **cells,
    )
    await add(session, row)
    return {"id": made, **{n: getattr(row, n) for n in _PLAIN}, **words}


async def accounting(
    clinic: Clinic,
    me: Me,
    patient_id: UUID,
    since: datetime | None,
    until: datetime | None,
    *,
    excluded: bool = False,
) -> tuple[Sequence[Mapping[str, Any]], str | None]:
    """Return the disclosures the caller may be told of, newest first, and the checkpoint their proofs lead to.

    Of six years, or of the time asked for; `excluded` has those for care, payment and the like as well.
    """
    whose = await person(clinic, me, patient_id, Action.SEARCH, ResourceType.DISCLOSURE)
    asked = Resource(ResourceType.DISCLOSURE, patient_id=whose.id, status=Standing.TOLD)
    await clinic.gate.require(me, Action.SEARCH, asked)
    start = max(since or now() - YEARS, now() - YEARS)
    within = and_(_row.disclosed_at >= start, _row.disclosed_at < (until or func.now()))
    columns = [_row[name] for name in _PLAIN]
    asked_for = true() if excluded else _row.purpose.not_in(EXCLUDED)
    found = sealed_rows(Disclosure, *columns).where(
        _row.patient_id.in_(whose.ids), within, asked_for
    )
    rows = await clinic.database.select(found.order_by(_row.disclosed_at.desc(), _row.id.desc()))
    found_of = (_resource(whose.id, row) for row in rows)
    permits = await clinic.gate.disclose(me, ResourceType.DISCLOSURE, found_of)
    shown = [row for row in rows if row["row_id"] in permits]
    note, proved = await evidence(clinic.database, [row["event_id"] for row in shown])
    return [
        {"id": row["row_id"], **{n: row[n] for n in _PLAIN}, "evidence": proved.get(row["event_id"]),
         **await clinic.reveal(me, permits[row["row_id"]], Disclosure, row)}
        for row in shown
    ], note  # fmt: skip


def summary(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return repeated disclosures to one recipient for one purpose as one line each: first, last, how often."""

    def alike(item: Mapping[str, Any]) -> tuple[str, str]:
        return item["recipient"]["name"], item["purpose"]

    groups = groupby(sorted(items, key=alike), key=alike)
    return [
        {
            "recipient": recipient,
            "purpose": purpose,
            "first": min(times),
            "last": max(times),
            "times": len(times),
        }
        for (recipient, purpose), group in groups
        for times in [[item["disclosed_at"] for item in group]]
    ]


def _resource(person_id: UUID, row: Mapping[str, Any]) -> Resource:
    ends = row["suspended_until"]
    return Resource(
        ResourceType.DISCLOSURE,
        id=row["row_id"],
        patient_id=person_id,
        chart_id=row["patient_id"],
        status=Standing.SUSPENDED if ends and ends > now() else Standing.TOLD,
    )
