"""Acts at the command line that no policy decides, since whoever runs them has the machine: each is an event before it is done."""

from datetime import datetime
from uuid import UUID

from core.clock import now
from core.crypto.kek import KekProvider
from core.database import Database
from core.ids import new_id
from policies.vocabulary import Action, Outcome, Purpose, ResourceType
from records.audit.event import Act, Event, Origin
from records.audit.trail import Trail


async def note_command(
    database: Database,
    keys: KekProvider,
    command: str,
    action: Action | Act,
    about: ResourceType = ResourceType.AUDIT_EVENT,
    *,
    reason: str | None = None,
    at: datetime | None = None,
) -> UUID:
    """Return the id of the command's event once it is durable; Unavailable if it cannot be."""
    event = Event(
        actor=None,
        action=action,
        outcome=Outcome.ALLOW,
        purpose=Purpose.COMPLIANCE if about is ResourceType.AUDIT_EVENT else Purpose.OPERATIONS,
        reason=reason,
        resource_type=about,
        resource_ids=(),
        origin=Origin(command, str(new_id()), client="command line"),
        occurred_at=at or now(),
    )
    trail = Trail(database, keys)
    await trail.start()
    try:
        await trail.note(event)
    finally:
        await trail.stop()
    return event.id
