"""The life of an appointment: one table says which act leads from which statuses to which, and whose right it takes.

FHIR R4 has no status for a visit in progress: that is the Encounter's to say. Here `check-in` makes it
`checked-in` (at the desk, waiting) and `start` makes it `arrived` (with the doctor); both may be entered from either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.errors import Conflict
from policies.vocabulary import Action
from records.scheduling.models import Act, AppointmentStatus

GRACE: Final = timedelta(minutes=15)
"""How long after its start a visit is not yet missed."""


@dataclass(frozen=True, slots=True)
class Transition:
    """From which statuses, to which (None: it stays), and the action that policy must allow."""

    before: frozenset[AppointmentStatus]
    after: AppointmentStatus | None
    right: Action


_S: Final = AppointmentStatus
_OPEN: Final = frozenset({_S.PROPOSED, _S.PENDING, _S.WAITLIST, _S.BOOKED})
_HERE: Final = frozenset({_S.ARRIVED, _S.CHECKED_IN})

HOLDING: Final = frozenset({_S.PENDING, _S.BOOKED}) | _HERE
"""In these a visit holds its time: `models.BLOCKING` says it to the database."""

LIFE: Final[Mapping[Act, Transition]] = {
    Act.CONFIRM: Transition(frozenset({_S.PROPOSED, _S.PENDING}), _S.BOOKED, Action.BOOK),
    Act.CHECK_IN: Transition(frozenset({_S.BOOKED, _S.ARRIVED}), _S.CHECKED_IN, Action.ATTEND),
    Act.START: Transition(frozenset({_S.BOOKED, _S.CHECKED_IN}), _S.ARRIVED, Action.ATTEND),
    Act.COMPLETE: Transition(_HERE, _S.FULFILLED, Action.ATTEND),
    Act.CANCEL: Transition(_OPEN | _HERE, _S.CANCELLED, Action.CANCEL),
    Act.NO_SHOW: Transition(frozenset({_S.BOOKED}), _S.NOSHOW, Action.ATTEND),
    Act.RESCHEDULE: Transition(
        frozenset({_S.PROPOSED, _S.PENDING, _S.BOOKED}), None, Action.UPDATE
    ),
    Act.EXPIRE: Transition(frozenset({_S.PENDING}), _S.CANCELLED, Action.CANCEL),
    Act.ENTER_IN_ERROR: Transition(
        frozenset(_S) - {_S.ENTERED_IN_ERROR}, _S.ENTERED_IN_ERROR, Action.RETRACT
    ),
}
FINAL: Final = frozenset({Act.UNDO, Act.EXPIRE, Act.ENTER_IN_ERROR})
"""What is not undone."""


def legal(status: AppointmentStatus, start: datetime, at: datetime) -> list[Act]:
    """Return what may be done at this moment to an appointment of this status and start."""
    return [
        act
        for act, transition in LIFE.items()
        if status in transition.before
        and act is not Act.EXPIRE
        and not (act is Act.NO_SHOW and at < start + GRACE)
    ]


def refuse_illegal(act: Act, status: AppointmentStatus, start: datetime, at: datetime) -> None:
    """Raise Conflict(`illegal-transition`), with what would be legal, unless the act may be."""
    may = legal(status, start, at)
    if act in may or (act is Act.EXPIRE and status in LIFE[act].before):
        return
    early = act is Act.NO_SHOW and status is AppointmentStatus.BOOKED
    raise Conflict(
        "a visit is missed 15 minutes after its start, not before"
        if early
        else f"{act} does not follow {status}",
        code="illegal-transition",
        appointment_status=status,
        legal=may,
    )
