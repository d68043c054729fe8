"""What people do to their account on its page, each by the name its button sends."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

import segno
from sqlalchemy.ext.asyncio import AsyncSession

from api.oauth.steps import Visit
from core.errors import Invalid, NotFound
from records.access.me import Me
from records.clinic import Clinic
from records.identity import consents, factors, passkeys
from records.identity.challenges import spent
from records.identity.passkeys import Site

Given = Mapping[str, str]
Act = Callable[[AsyncSession, Clinic, Me, Visit, Given], Awaitable[dict[str, Any]]]
"""Does what its form asks for, and returns what the page shows of it: once, and nowhere again."""


async def _add(
    session: AsyncSession, clinic: Clinic, me: Me, visit: Visit, given: Given
) -> dict[str, Any]:
    tokens = visit.asked.setting.tokens
    purpose = f"enrol {me.subject.id}"
    asked = await spent(session, tokens, visit.typed["challenge"], purpose)
    if asked is None:
        raise Invalid("the page was open for too long")
    its = Site.of(tokens.issuer), asked.signed, visit.typed["passkey"], _name(given)
    _, codes = await passkeys.enrol(session, clinic, me, *its)
    return {"codes": codes}


async def _rename(
    session: AsyncSession, clinic: Clinic, me: Me, _visit: Visit, given: Given
) -> dict[str, Any]:
    await passkeys.rename(session, clinic, me, _id(given), None, _name(given))
    return {}


async def _remove(
    session: AsyncSession, clinic: Clinic, me: Me, _visit: Visit, given: Given
) -> dict[str, Any]:
    await passkeys.remove(session, clinic, me, _id(given), None)
    return {}


async def _begin_app(
    session: AsyncSession, clinic: Clinic, me: Me, _visit: Visit, _given: Given
) -> dict[str, Any]:
    seed = await factors.begin(session, clinic, me, "Confide")
    # White beneath it whatever the page's colours are: scanners want dark on light.
    picture = segno.make(seed.uri, error="m").svg_inline(omitsize=True, light="#fff")
    return {"seed": seed, "picture": picture}


async def _confirm_app(
    session: AsyncSession, clinic: Clinic, me: Me, _visit: Visit, given: Given
) -> dict[str, Any]:
    code = "".join(given.get("app_code", "").split())
    return {"codes": await factors.confirm(session, clinic, me, code)}


async def _remove_app(
    session: AsyncSession, clinic: Clinic, me: Me, _visit: Visit, _given: Given
) -> dict[str, Any]:
    await factors.remove_app(session, clinic, me)
    return {}


async def _renew_codes(
    session: AsyncSession, clinic: Clinic, me: Me, _visit: Visit, _given: Given
) -> dict[str, Any]:
    return {"codes": await factors.fresh_codes(session, clinic, me)}


async def _withdraw(
    session: AsyncSession, clinic: Clinic, me: Me, _visit: Visit, given: Given
) -> dict[str, Any]:
    await consents.withdraw(session, clinic, me, given.get("id", ""))
    return {}


ACTS: Final[Mapping[str, Act]] = {
    "add": _add,
    "rename": _rename,
    "remove": _remove,
    "begin-app": _begin_app,
    "confirm-app": _confirm_app,
    "remove-app": _remove_app,
    "renew-codes": _renew_codes,
    "withdraw": _withdraw,
}


def _name(given: Given) -> str:
    name = given.get("name", "").strip()[: passkeys.LONGEST_NAME]
    return name or "Passkey"


def _id(given: Given) -> UUID:
    try:
        return UUID(given.get("id", ""))
    except ValueError:
        raise NotFound from None
