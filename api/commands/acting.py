"""Who commands act as that do over HTTP's own functions what administrators do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import records.tables  # noqa: F401 - foreign keys resolve once every table is known
from core.crypto.keyring import open_provider
from core.settings import Settings
from records.access.me import Me
from records.clinic import Clinic
from records.identity.commands import command_line


@asynccontextmanager
async def at_work(chosen: Settings, command: str) -> AsyncIterator[tuple[Clinic, Me]]:
    """Open the clinic as the command line's own account, named on the trail by the command."""
    async with Clinic.open(chosen.postgres_url, open_provider(chosen.kms), pool=2) as clinic:
        yield clinic, await command_line(clinic, f"confide {command}")
