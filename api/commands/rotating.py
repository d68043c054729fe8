"""`confide keys …`: rotations with a progress bar, and the versions of the key-encryption keys."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from uuid import UUID

from rich.progress import Progress

import records.tables  # noqa: F401 - a rotation is about every table with sealed cells
from api.commands.acting import at_work
from api.commands.telling import console, print_json, print_rows
from core.database import Database
from core.settings import Settings
from policies.facts import Resource
from policies.vocabulary import Action, ResourceType
from records.custody import versions as kept
from records.custody.models import KeyPurpose, RotationKind, RotationState
from records.custody.rotation import ROLE, read_rotation, request_rotation, step

_VERSION: Final = ("purpose", "version", "current", "wraps")
PAUSE: Final = 0.2
"""Seconds to wait for another process that is at the same rotation."""


def rotate(
    chosen: Settings,
    kind: Literal["kek", "dek", "index"],
    purpose: str,
    patient: UUID | None,
    *,
    as_json: bool,
) -> int:
    """Rotate and return the exit code: 0, or 1 when some rows did not open and were left as they are."""
    ended = asyncio.run(_rotate(chosen, RotationKind(kind), KeyPurpose(purpose), patient))
    if as_json:
        print_json(ended)
    console.print(f"{ended['done']} keys rotated, {ended['failed']} rows left as they are")
    return 1 if ended["failed"] else 0


def versions(chosen: Settings, *, as_json: bool) -> None:
    """Print the versions."""
    print_rows(asyncio.run(_versions(chosen)), _VERSION, as_json=as_json)


def destroy(chosen: Settings, purpose: str, version: int) -> None:
    """Destroy a version; Conflict while it is needed."""
    asyncio.run(_destroy(chosen, KeyPurpose(purpose), version))


async def _rotate(
    chosen: Settings, kind: RotationKind, purpose: KeyPurpose, patient: UUID | None
) -> Mapping[str, Any]:
    async with at_work(chosen, "keys rotate") as (clinic, me):
        async with clinic.database.transaction() as session:
            row = await request_rotation(session, clinic, me, kind, purpose, patient)
        with Progress(console=console) as progress:
            bar = progress.add_task(f"{kind} rotation", total=row.total)
            async with Database(chosen.postgres_url, role=ROLE, size=1) as database:
                while True:
                    moved = await step(database, clinic.vault.provider, clinic.trail)
                    now = await read_rotation(clinic, me, row.id)
                    progress.update(bar, completed=now["done"])
                    if now["state"] == RotationState.DONE:
                        return now
                    await asyncio.sleep(0 if moved else PAUSE)


async def _versions(chosen: Settings) -> Sequence[Mapping[str, Any]]:
    async with (
        at_work(chosen, "keys versions") as (clinic, me),
        clinic.database.transaction() as session,
    ):
        return await kept.list_versions(session, clinic, me)


async def _destroy(chosen: Settings, purpose: KeyPurpose, version: int) -> None:
    async with (
        at_work(chosen, "keys destroy") as (clinic, me),
        clinic.database.transaction() as session,
    ):
        await kept.destroy(session, clinic, me, purpose, version)


def note_signing(chosen: Settings, *, revoke: bool) -> None:
    """Put on the trail that tokens will be signed by a new key, and whether the old ones end."""

    async def note() -> None:
        acts = (Action.CREATE, Action.DELETE) if revoke else (Action.CREATE,)
        async with (
            at_work(chosen, "keys rotate-signing") as (clinic, me),
            clinic.database.transaction() as session,
        ):
            for act in acts:
                await clinic.gate.write(session, me, act, Resource(ResourceType.KEY))

    asyncio.run(note())
