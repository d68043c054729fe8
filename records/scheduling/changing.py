"""Changing an appointment: lock the row, decide, move it along the table of `life`, and write down who, when and why.

All of it is one transaction. Whatever fails leaves the old status and the old time as they were.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import UUID as PGUUID
from sqlalchemy import bindparam, select, update

from core.clock import now
from core.database import Session
from core.errors import Conflict, FieldError, Invalid, PreconditionFailed
from policies.facts import Resource
from policies.permit import Permit
from policies.vocabulary import Action, ResourceType
from records.access.me import Me
from records.access.relations import asking, department_of
from records.base import rewrite, table_of
from records.clinic import Clinic
from records.meanings import meaning
from records.people.reading import facts_in_sight, require_sight
from records.people.reading import resource_of as patient_of
from records.scheduling.history import write_down
from records.scheduling.life import HOLDING, LIFE, refuse_illegal
from records.scheduling.models import (
    Act,
    Appointment,
    AppointmentStatus,
    CancellationReason,
)
from records.scheduling.offering import ENDS, offer, settle
from records.scheduling.reading import OpenAppointment, opened, resource_of, selected
from records.scheduling.supply import Service
from records.scheduling.taken import SlotTaken, time_of
from records.vault.models import KeyState
from records.vault.vault import locked_row

_visit: Final = table_of(Appointment)
_ID: Final = bindparam("appointment_id", type_=PGUUID())
_HELD: Final = [
    _visit.c[n] for n in ("blocked_from", "blocked_until", "session_id", "lane", "capacity")
]
_ROOM_KIND: Final = (
    select(table_of(Service).c.room_kind)
    .where(table_of(Service).c.id == _visit.c.service_id)
    .scalar_subquery()
    .label("room_kind")
)
_LOCKED: Final = selected(*_HELD, _ROOM_KIND).where(_visit.c.id == _ID).with_for_update(of=_visit)


BOOKED: Final = {"status": AppointmentStatus.BOOKED, "held_until": None}
"""What a hold, an offer or a proposal is from its confirmation on."""


@dataclass(frozen=True, slots=True)
class Why:
    """What the caller gives for a change: a code, a few words (sealed), the version they saw."""

    code: CancellationReason | None = None
    note: str | None = None
    version: int | None = None


async def change(
    session: Session, clinic: Clinic, me: Me, appointment_id: UUID, act: Act, why: Why
) -> OpenAppointment:
    """Do one act of the table, and return the appointment as it is then.

    Raises NotFound for what the caller may not see, Forbidden for what they may not do,
    PreconditionFailed for a version that is gone, Conflict(`illegal-transition`).
    """
    if why.code and act not in (Act.CANCEL, Act.NO_SHOW):
        fault = FieldError("/reason_code", "not-here", "only what does not take place has this")
        raise Invalid(errors=[fault])
    row = await locked(session, clinic, me, act, appointment_id)
    after = LIFE[act].after or row["status"]
    new = {"status": after, "cancellation_reason": _reason(me, act, row, why), "held_until": None}
    return await changed(session, clinic, me, act, LIFE[act].right, row, new, why)


async def locked(
    session: Session, clinic: Clinic, me: Me, act: Act, appointment_id: UUID
) -> Mapping[str, Any]:
    """Return the row, locked until the transaction ends, if the caller may see it at all."""
    named = {"appointment_id": appointment_id, **asking(me)}
    row = await locked_row(session, _LOCKED, named)
    if row is None:
        right = Action.UPDATE if act is Act.UNDO else LIFE[act].right
        await clinic.gate.absent(me, right, ResourceType.APPOINTMENT, appointment_id)
    await clinic.gate.require(me, Action.READ, resource_of(row))
    return row


async def require_patient(clinic: Clinic, me: Me, row: Mapping[str, Any]) -> None:
    """Refuse to make a visit stand again, or for good, to whoever may not see its patient."""
    patient = patient_of(await facts_in_sight(clinic, me, row["person_id"]))
    await require_sight(clinic, me, patient, within=resource_of(row))


async def changed(
    session: Session,
    clinic: Clinic,
    me: Me,
    act: Act,
    right: Action,
    row: Mapping[str, Any],
    new: Mapping[str, Any],
    why: Why,
    *,
    reason: str | None = None,
    freed: list[Mapping[str, Any]] | None = None,
) -> OpenAppointment:
    """Decide on the image before and after, then write both the change and its history.

    A time that is freed is offered to who waits, or else added to `freed`, to be offered later.
    """
    stored = resource_of(row)
    image = {**row, **new, "version": row["version"] + 1}
    after = await image_of(session, row, image)
    permit = await clinic.gate.write(session, me, right, stored, after, within=stored)
    if why.version not in (None, row["version"]):
        raise PreconditionFailed("the appointment has changed since you read it")
    if act is not Act.CANCEL and row["held_until"] and row["held_until"] <= now():
        raise Conflict("the hold has run out", code="hold-expired", retryable=True)
    if act is not Act.UNDO:
        refuse_illegal(act, row["status"], row["starts_at"], now())
    cells = await _sealed(clinic, permit, row, reason)
    await _store(session, image, {**new, **cells, "version": image["version"]})
    await write_down(session, clinic, permit, act, row, image, why.note)
    await _settle(session, clinic, me, act, row)
    if _frees(row, image):
        if freed is None:
            await offer(session, clinic, row)
        else:
            freed.append(row)
    return await _as_it_is(clinic, me, permit, {**row, **cells}, image)


async def call_off(
    session: Session,
    clinic: Clinic,
    me: Me,
    row: Mapping[str, Any],
    code: CancellationReason,
    why: Why,
) -> None:
    """Cancel a visit that was locked."""
    new = {"status": AppointmentStatus.CANCELLED, "cancellation_reason": code, "held_until": None}
    await changed(session, clinic, me, Act.CANCEL, Action.CANCEL, row, new, why)


async def image_of(session: Session, row: Mapping[str, Any], image: Mapping[str, Any]) -> Resource:
    """Return what the policy looks at of a visit as it will be: another doctor's is their department's."""
    department = row["department"]
    if image["doctor_id"] != row["doctor_id"]:
        department = (await session.execute(select(department_of(image["doctor_id"])))).scalar()
    whose = {"doctor_id": image["doctor_id"], "department": department}
    return replace(resource_of(row), status=image["status"], **whose)


async def _as_it_is(
    clinic: Clinic, me: Me, permit: Permit, row: Mapping[str, Any], image: Mapping[str, Any]
) -> OpenAppointment:
    """Return the visit after the change; of an erased patient, what is left of it."""
    if row["key_state"] == KeyState.DESTROYED:
        return replace(opened(image, {"reason": None}), erased=True)
    return opened(image, await clinic.reveal(me, permit, Appointment, row))


async def _sealed(
    clinic: Clinic, permit: Permit, row: Mapping[str, Any], reason: str | None
) -> dict[str, Any]:
    """Return the new words of a visit, sealed; nothing where there are none."""
    if reason is None:
        return {}
    key = await clinic.key(row)
    return clinic.vault.seal(permit, Appointment, key, row["row_id"], reason=reason)


async def _settle(
    session: Session, clinic: Clinic, me: Me, act: Act, row: Mapping[str, Any]
) -> None:
    """Close what a hold was an offer to, and give the later visit up that it was booked instead of."""
    if row["held_until"] and act in ENDS:
        later = await settle(session, row["row_id"], act)
        if later:
            await _give_up(session, clinic, me, later)


def _frees(row: Mapping[str, Any], image: Mapping[str, Any]) -> bool:
    """Tell whether a change gives up the doctor's time."""
    same = all(row[name] == image[name] for name in ("starts_at", "doctor_id"))
    return row["status"] in HOLDING and not (image["status"] in HOLDING and same)


async def _give_up(session: Session, clinic: Clinic, me: Me, later: UUID) -> None:
    """Cancel the visit that an earlier one from the waitlist replaces, if it still stands."""
    row = await locked(session, clinic, me, Act.CANCEL, later)
    if row["status"] in HOLDING:
        await call_off(session, clinic, me, row, CancellationReason.SCHEDULED_FROM_WAITLIST, Why())


async def _store(session: Session, image: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    with meaning(SlotTaken(time_of(image)), *TAKEN):
        visit = update(_visit).where(_visit.c.id == image["row_id"])
        await rewrite(session, visit.values(**values))


TAKEN: Final = frozenset(
    {"doctor-taken", "patient-taken", "room-taken", "uq-appointment-lane", "contention"}
)
"""The codes of Conflict with which the database says that a time is not free."""


def _reason(me: Me, act: Act, row: Mapping[str, Any], why: Why) -> CancellationReason | None:
    """Return the code that stays on the row: the caller's, or what is plain from who asks."""
    if act is not Act.CANCEL:
        return why.code if act is Act.NO_SHOW else None
    by_patient = me.subject.patient_id == row["person_id"]
    return why.code or (CancellationReason.PATIENT if by_patient else CancellationReason.OTHER)
