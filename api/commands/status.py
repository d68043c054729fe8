"""`confide status`: whether each part is there, and how far behind it is. No account, nothing of anybody's."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import typer

from api.commands.telling import Json, print_json
from core.settings import Settings, settings

app = typer.Typer()

NEVER: Final = ("quarantined", "missing")
"""What should be nothing."""
LATE: Final = {"outbox_seconds": 60.0, "seal_seconds": 120.0}
"""Seconds behind which a part of the way to the log counts as late: those of the alert rules."""


@app.command(epilog="Example: confide status --json | jq .parts.outbox_seconds")
def status(
    as_json: Json = False,
) -> None:
    """Look at database, schema, policy, broker, keys and the way to the log. Exit code 0: well, 1: not so."""
    parts, troubles = asyncio.run(looked(settings()))
    if as_json:
        print_json({"ok": not troubles, "troubles": troubles, "parts": parts})
    else:
        for name, what in parts.items():
            sys.stdout.write(f"{'!' if name in troubles else ' '} {name:<18} {what}\n")
    raise typer.Exit(1 if troubles else 0)


async def looked(chosen: Settings) -> tuple[dict[str, Any], list[str]]:
    """Return what each part says, and the names of those that are away, behind or late."""
    parts: dict[str, Any] = {}
    for look in (_database, _broker, _keys):
        parts |= await _or_away(look, chosen)
    troubles = [name for name, what in parts.items() if what in ("unavailable", "waiting")]
    troubles += [name for name, most in LATE.items() if parts.get(name, 0.0) > most]
    troubles += [name for name in NEVER if parts.get(name, 0.0) > 0]
    if parts.get("schema") != parts.get("schema_newest"):
        troubles.append("schema")
    return parts, troubles


async def _or_away(
    look: Callable[[Settings], Awaitable[dict[str, Any]]], chosen: Settings
) -> dict[str, Any]:
    from core.errors import DomainError

    try:
        return await look(chosen)
    except (DomainError, ValueError):
        return {look.__name__.removeprefix("_"): "unavailable"}


async def _database(chosen: Settings) -> dict[str, Any]:
    """Ask as the owner: the schema's version is nobody else's business."""
    from alembic.script import ScriptDirectory
    from sqlalchemy import text

    from api.commands.provision import alembic
    from core.database import Database
    from records.audit.troubles import gauges

    async with Database(chosen.postgres_url, size=1, patience=5) as database:
        schema = await database.select(text("SELECT version_num FROM alembic_version"))
        policy = await database.select(text("SELECT version FROM policy_head"))
        found = await gauges(database)
    return {
        "database": "ok",
        "schema": schema[0]["version_num"],
        "schema_newest": ScriptDirectory.from_config(alembic()).get_current_head(),
        "policy": policy[0]["version"] if policy else "unavailable",
        **{name: found[name] for name in ("outbox", *LATE, *NEVER)},
    }


async def _broker(chosen: Settings) -> dict[str, Any]:
    from api.health import broker

    return {"broker": await broker(chosen.broker_url.get_secret_value())}


async def _keys(chosen: Settings) -> dict[str, Any]:
    from core.crypto.keyring import open_provider
    from records.custody.models import KeyPurpose

    keys = open_provider(chosen.kms)
    return {"keys": {purpose.value: keys.current_version(purpose) for purpose in KeyPurpose}}
