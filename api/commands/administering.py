"""What `confide accounts …` does: what administrators do over HTTP, as the command line's own account, on the trail."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import records.tables  # noqa: F401 - foreign keys resolve once every table is known
from api.json import dumps
from core.crypto.keyring import open_provider
from core.errors import NotFound
from core.settings import Settings
from policies.vocabulary import Role
from records.access.me import Me
from records.clinic import Clinic
from records.identity import administration
from records.identity.accounts import named
from records.identity.administration import NewAccount
from records.identity.commands import command_line

PAGE: Final = 200
_SHOWN: Final = ("id", "label", "roles", "active", "invited", "created_at")

console = Console(stderr=True, highlight=False)


def create(
    chosen: Settings, username: str, roles: Sequence[Role], label: str | None, *, as_json: bool
) -> None:
    """Make an account and print its invitation."""

    async def made() -> Mapping[str, Any]:
        async with (
            _at_work(chosen, "create") as (clinic, me),
            clinic.database.transaction() as session,
        ):
            new = NewAccount(username=username, roles=roles, label=label)
            account, link = await administration.create_account(session, clinic, me, new)
        assert link  # there is one where no password was given
        url = f"{chosen.issuer}/oauth/password?link={link.secret}"
        return {"id": account["id"], "invitation": url, "expires_at": link.expires_at}

    told = asyncio.run(made())
    if as_json:
        _print(told)
    else:
        console.print("The account is made. Its owner chooses a password here, once:")
        sys.stdout.write(f"{told['invitation']}\n")


def show(chosen: Settings, role: Role | None, *, as_json: bool) -> None:
    """Print accounts."""

    async def found() -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        async with _at_work(chosen, "list") as (clinic, me):
            more, after = True, None
            while more:
                page, after = await administration.list_accounts(
                    clinic, me, limit=PAGE, after=after, role=role
                )
                rows += page
                more = after is not None
        return [{name: row[name] for name in _SHOWN} for row in rows]

    rows = asyncio.run(found())
    if as_json:
        _print(rows)
        return
    table = Table(*_SHOWN, box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(_cell(row[name]) for name in _SHOWN))
    Console().print(table)


def deactivate(chosen: Settings, username: str) -> None:
    """End an account; NotFound when none has the name."""

    async def ended() -> None:
        async with _at_work(chosen, "deactivate") as (clinic, me):
            account_id = await _named(clinic, username)
            async with clinic.database.transaction() as session:
                changes = {"active": False}
                await administration.change_account(session, clinic, me, account_id, None, changes)

    asyncio.run(ended())
    console.print("The account is ended, and its owner logged out everywhere.")


def reset_factors(chosen: Settings, username: str) -> None:
    """Take second factors away; NotFound when no account has the name."""

    async def taken() -> None:
        async with _at_work(chosen, "reset-mfa") as (clinic, me):
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


@asynccontextmanager
async def _at_work(chosen: Settings, act: str) -> AsyncIterator[tuple[Clinic, Me]]:
    async with Clinic.open(chosen.postgres_url, open_provider(chosen.kms), pool=2) as clinic:
        yield clinic, await command_line(clinic, f"confide accounts {act}")


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str("" if value is None else value)


def _print(told: Any) -> None:
    sys.stdout.write(dumps(told).decode() + "\n")
