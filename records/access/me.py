"""Who asks, why, and through which request: the first thing every act of the domain is given."""

from dataclasses import dataclass
from uuid import UUID

from core.ids import new_id
from policies.facts import CLOCKWORK, Environment, Subject
from policies.scopes import Scope
from policies.vocabulary import Purpose
from records.audit.event import Origin


@dataclass(frozen=True, slots=True)
class Me:
    """The caller of one act. `session` is the login's id (None for commands and tasks).

    `scope` is what the token may be used for (None: for all that the caller may do).
    """

    subject: Subject
    environment: Environment
    origin: Origin
    session: UUID | None = None
    scope: Scope | None = None


def clockwork(chore: str) -> Me:
    """Return the clinic itself as a caller: what is done when it is due, by nobody's hand."""
    return Me(CLOCKWORK, Environment(Purpose.OPERATIONS), Origin(f"chore {chore}", str(new_id())))
