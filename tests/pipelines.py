"""The real way to the ledger: a relay and a Celery worker, as the processes that `make run` starts."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import asyncpg

from core.embedded.processes import Command, Family
from tests.servers import CHECKOUT


class Pipeline:
    """A relay and a worker on one database and one broker; each can be killed and brought back."""

    def __init__(self, database_url: str, broker_url: str, home: Path) -> None:
        self.home = home
        self.url = database_url
        self.family = Family(home)
        self.environment = {
            **os.environ,
            "CONFIDE_ENVIRONMENT": "development",
            "CONFIDE_HOME": str(home),
            "CONFIDE_DATABASE_URL": database_url,
            "CONFIDE_BROKER_URL": broker_url,
        }

    def start(self, *names: str) -> None:
        for name in names:
            argv = [sys.executable, "-m", "api.cli", name]
            self.family.spawn(name, Command(argv, env=self.environment, cwd=CHECKOUT))

    def kill(self, name: str) -> None:
        """End a process, and all it started, without a word of warning."""
        child = self.family.children[name]
        os.killpg(child.process.pid, 9)
        child.process.wait()

    async def drained(self, seconds: float = 60) -> None:
        """Return once the ledger holds everything that was in the outbox."""
        deadline = monotonic() + seconds
        connection = await asyncpg.connect(self.url)
        try:
            while await connection.fetchval("SELECT count(*) FROM audit.outbox"):
                assert monotonic() < deadline, f"the outbox is not empty after {seconds} s"
                await asyncio.sleep(0.05)
        finally:
            await connection.close()

    async def ledger(self) -> list[str]:
        """Return the ids of the ledger's events, in order."""
        connection = await asyncpg.connect(self.url)
        rows = await connection.fetch("SELECT id FROM audit.event ORDER BY id")
        await connection.close()
        return [str(row["id"]) for row in rows]


@contextmanager
def pipeline(database_url: str, broker_url: str, home: Path) -> Iterator[Pipeline]:
    line = Pipeline(database_url, broker_url, home)
    line.start("worker", "relay")
    try:
        yield line
    finally:
        line.family.stop("worker", "relay")
