"""The account that commands act as: named on the trail, with no password that works."""

from dataclasses import replace
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from core.clock import now
from core.ids import new_id
from policies.facts import Environment, Resource, Subject
from policies.vocabulary import Action, Purpose, ResourceType, Role
from records.access.me import Me
from records.audit.event import Origin
from records.base import table_of
from records.clinic import Clinic
from records.identity.models import Account

LOGIN: Final = "command line"
LABEL: Final = "command line"
NO_PASSWORD: Final = "!"  # noqa: S105 - the point is that it is none
"""No hash of anything: it can be checked against, and nothing is right."""

_account = table_of(Account)


async def command_line(clinic: Clinic, name: str) -> Me:
    """Return who a command (`name`, as `confide import fhir`) acts as; the first command makes the account."""
    values = {
        "id": new_id(),
        "login": clinic.indexes.login(LOGIN),
        "password_hash": NO_PASSWORD,
        "roles": [Role.ADMIN],
        "label": LABEL,
        "active": True,
        "created_at": now(),
    }
    subject = Subject(values["id"], frozenset({Role.ADMIN}))
    origin = Origin(name, str(new_id()), client="command line")
    me = Me(subject, Environment(Purpose.OPERATIONS), origin)
    mine = select(_account.c.id).where(_account.c.login == values["login"])
    async with clinic.database.transaction() as session:
        known = (await session.execute(mine)).scalar()
        if known is None:
            await clinic.gate.write(
                session, me, Action.CREATE, Resource(ResourceType.ACCOUNT, id=values["id"])
            )
            await session.execute(insert(_account).values(values))
    return replace(me, subject=replace(subject, id=known)) if known else me
