"""Letters to patients about their visits: each is claimed by a row in the transaction that sends it.

Two workers cannot both have it, and what the server did not take is not marked as sent. A letter goes to the address that
the patient gave, which nobody reads on the way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import insert

from core import mail
from core.mail import Invitation
from core.settings import Settings
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.access.me import clockwork
from records.base import Row, table_of
from records.clinic import Clinic, Erased, Unreadable
from records.people.contact import email_address
from records.people.models import Patient
from records.scheduling.models import Appointment
from records.vault.vault import sealed_rows, still_there

SUBJECT: Final = "Your appointment"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Letter:
    """A text, a key that is the same if it is sent again, and what a calendar program makes of it."""

    text: str
    key: str
    invitation: Invitation | None = None


class Notifier(Protocol):
    """A way to reach somebody. Tells whether the letter was taken."""

    async def __call__(self, to: str, subject: str, letter: Letter, /) -> bool: ...


def notifier(here: Settings) -> Notifier:
    """Return the way this clinic has: SMTP, or else a log that a letter was due (ids only, no address)."""
    if not here.smtp_url.get_secret_value():
        return _log_only

    async def by_mail(to: str, subject: str, letter: Letter, /) -> bool:
        return await mail.send(here, to, subject, letter.text, letter.key, letter.invitation)

    return by_mail


def addressed(*columns: Any) -> Select[Any]:
    """Return the SELECT of visits with these columns, each with its patient and their key; its rows are for `send_once`."""
    visit, patient = table_of(Appointment), table_of(Patient)
    rows = sealed_rows(Patient, visit.c.id.label("appointment_id"), *columns)
    return rows.join(visit, patient.c.id == visit.c.person_id).where(still_there())


async def send_once(
    clinic: Clinic,
    row: Mapping[str, Any],
    act: str,
    claim: Row,
    notify: Notifier,
    letter: Callable[[str], Letter],
) -> bool:
    """Claim a letter to a patient, send it, and commit both; tell whether it is dealt with.

    What was not taken rolls back and is due again. What has no address, or one that does not open, is dealt with: nothing
    would come of trying again, and the letters behind it wait.
    """
    me, table = clockwork(act), table_of(type(claim))
    patient = Resource(ResourceType.PATIENT, id=row["resource_id"], patient_id=row["patient_id"])
    async with clinic.database.transaction() as session:
        claiming = insert(table).values({c.name: getattr(claim, c.name) for c in table.columns})
        mine = claiming.on_conflict_do_nothing().returning(table.c.id)
        if (await session.execute(mine)).first() is None:
            return False
        permit = await clinic.gate.write(session, me, Action.NOTIFY, patient)
        try:
            opened = await clinic.reveal(me, permit, Patient, row, only=["email"])
        except (Erased, Unreadable):
            return True
        address = str(opened["email"] or "").strip()
        if email_address(address) is None:
            return True
        taken = await notify(address, SUBJECT, letter(address))
        if not taken:
            await session.rollback()
        return taken


async def _log_only(_to: str, _subject: str, letter: Letter, /) -> bool:
    log.info("reminder due; no mail server is set", reminder=letter.key)
    return True
