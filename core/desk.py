"""What a Celery task works with. Tasks are plain functions; the database speaks asyncio: each process keeps one loop."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import cache
from typing import Any

from core.crypto.kek import KekProvider
from core.crypto.keyring import open_provider
from core.database import Database
from core.settings import settings


@dataclass(frozen=True, slots=True)
class Desk:
    """One event loop, one database role and the keys of a worker process, kept from task to task."""

    loop: asyncio.AbstractEventLoop
    database: Database
    keys: KekProvider

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end in this process's loop."""
        self.loop.run_until_complete(work)


@cache
def desk(role: str) -> Desk:
    """Return this process's desk for a database role, made at the first task after the fork."""
    loop = asyncio.new_event_loop()
    database = Database(settings().postgres_url, role=role, size=1)
    loop.run_until_complete(database.open())
    return Desk(loop, database, open_provider(settings().kms))
