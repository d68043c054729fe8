"""The account that commands act as: named on the trail, with no password that works."""

from typing import Final
from uuid import UUID

from sqlalchemy import select

from core.ids import new_id
from policies.facts import Environment, Resource, Subject
from policies.vocabulary import Action, Purpose, ResourceType, Role
from records.access.me import Me
from records.audit.event import Origin
from records.base import add, table_of
from records.clinic import Clinic
from records.identity.models import Account

LOGIN: Final = "command line"
LABEL: Final = "command line"
NO_PASSWORD: Final = "!"  # noqa: S105 - the point is that it is none
"""No hash of anything: it can be checked against, and nothing is right."""

_account = table_of(Account).c


async def command_line(clinic: Clinic, name: str) -> Me:
    """Return who a command (`name`, as `confide import fhir`) acts as; the first command makes the account."""
    login = clinic.indexes.login(LOGIN)
    async with clinic.database.transaction() as session:
        known = (await session.execute(select(_account.id).where(_account.login == login))).scalar()
        me = _acting(known or new_id(), name)
        if known is None:
            resource = Resource(ResourceType.ACCOUNT, id=me.subject.id)
            await clinic.gate.write(session, me, Action.CREATE, resource)
            await add(session, _account_row(me, login))
    return me


def _acting(account_id: UUID, name: str) -> Me:
    subject = Subject(account_id, frozenset({Role.ADMIN}))
    origin = Origin(name, str(new_id()), client=LABEL)
    return Me(subject, Environment(Purpose.OPERATIONS), origin)


def _account_row(me: Me, login: bytes) -> Account:
    return Account(
        id=me.subject.id,
        login=login,
        password_hash=NO_PASSWORD,
        roles=sorted(me.subject.roles),
        label=LABEL,
    )
