"""What `confide accounts …` does: what administrators do over HTTP, as the command line's own account, on the trail."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from api.commands.acting import at_work
from api.commands.telling import console, print_json, print_rows
from core.errors import NotFound
from core.settings import Settings
from policies.vocabulary import Role
from records.clinic import Clinic
from records.identity import administration
from records.identity.accounts import named
from records.identity.administration import NewAccount

PAGE: Final = 200
_SHOWN: Final = ("id", "label", "roles", "active", "invited", "created_at")


def create(
    chosen: Settings, username: str, roles: Sequence[Role], label: str | None, *, as_json: bool
) -> None:
    """Make an account and print its invitation."""

    async def made() -> Mapping[str, Any]:
        async with (
            at_work(chosen, "accounts create") as (clinic, me),
            clinic.database.transaction() as session,
        ):
            new = NewAccount(username=username, roles=roles, label=label)
            account, link = await administration.create_account(session, clinic, me, new)
        assert link  # there is one where no password was given
        url = link.url(chosen.issuer)
        return {"id": account["id"], "invitation": url, "expires_at": link.expires_at}

    told = asyncio.run(made())
    if as_json:
        print_json(told)
    else:
        console.print("The account is made. Its owner chooses a password here, once:")
        sys.stdout.write(f"{told['invitation']}\n")


def show(chosen: Settings, role: Role | None, *, as_json: bool) -> None:
    """Print accounts."""

    async def found() -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        async with at_work(chosen, "accounts list") as (clinic, me):
            more, after = True, None
            while more:
                page, after = await administration.list_accounts(
                    clinic, me, limit=PAGE, after=after, role=role
                )
                rows += page
                more = after is not None
        return rows

    print_rows(asyncio.run(found()), _SHOWN, as_json=as_json)


def deactivate(chosen: Settings, username: str) -> None:
    """End an account; NotFound when none has the name."""

    async def ended() -> None:
        async with at_work(chosen, "accounts deactivate") as (clinic, me):
            account_id = await _named(clinic, username)
            async with clinic.database.transaction() as session:
                changes = {"active": False}
                await administration.change_account(session, clinic, me, account_id, None, changes)

    asyncio.run(ended())
    console.print("The account is ended, and its owner logged out everywhere.")


def reset_factors(chosen: Settings, username: str) -> None:
    """Take second factors away; NotFound when no account has the name."""

    async def taken() -> None:
        async with at_work(chosen, "accounts reset-mfa") as (clinic, me):
            account_id = await _named(clinic, username)
            async with clinic.database.transaction() as session:
                await administration.reset_factors(session, clinic, me, account_id)

    asyncio.run(taken())
    console.print("The account has no second factor now; its owner logs in anew.")


async def _named(clinic: Clinic, username: str) -> UUID:
    account = await named(clinic, username)
    if account is None:
        raise NotFound("no account has this name")
    return account.id
