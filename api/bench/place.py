"""Where the bench runs: a home, a database and ports of its own, gone from memory when it ends."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from api.bench import cpu, fill
from api.commands.stack import HOST, answers
from core.embedded import postgres
from core.embedded.home import lock, port
from core.embedded.processes import Child, Command, Family
from core.pool import alone
from core.settings import Environment, Settings

DATABASE = "confide_bench"
DURABLE = {"synchronous_commit": "on", "fsync": "on", "track_commit_timestamp": "on"}
"""And when what was committed, so that we can say how soon an event was in the ledger."""
PATIENCE = 10.0
"""Seconds a read may wait for the trail: where others use the disk too, a stall is a long answer and no refusal."""


@dataclass(slots=True)
class Place:
    """One home's servers: PostgreSQL, Confide's API, the floor."""

    home: Path
    family: Family
    settings: Settings
    filled: fill.Filled

    def url(self, name: str) -> str:
        """Return the address of the `api` or the `floor`."""
        return f"http://{HOST}:{port(self.home, name)}"

    def server_cpu(self, name: str) -> float | None:
        """Return the CPU seconds that a server has used."""
        return cpu.seconds(self.family.children[name].process.pid)

    def database_cpu(self) -> float | None:
        """Return those of PostgreSQL; None for one that is not ours."""
        child = self.family.children.get("postgres")
        return cpu.seconds(child.process.pid) if child else None

    def start(self, name: str, *argv: str, **other: Any) -> Child:
        """Start a process of Confide's under the bench's settings, some of them changed."""
        environment = _environment(self.settings.model_copy(update=other))
        return self.family.spawn(name, Command([sys.executable, "-m", *argv], env=environment))

    def serve(self, name: str, *argv: str) -> None:
        """Start a server at an address of its own; return when it answers."""
        child = self.start(name, *argv, port=port(self.home, name))
        child.await_ready(partial(answers, port(self.home, name), "/healthz"), 60)


@contextmanager
def place(home: Path) -> Iterator[Place]:
    """Bring up a filled clinic and its floor in `home`, and stop all of it at the end.

    The embedded server, or a database of its own on the one CONFIDE_DATABASE_URL names. ProcessError if
    something does not start.
    """
    with lock(home):
        family = Family(home)
        try:
            yield _up(home, family)
        finally:
            family.stop("worker", "relay", "api", "floor", "broker", "epmd", "postgres")


@contextmanager
def bare_place(home: Path) -> Iterator[Settings]:
    """Bring up a database alone, migrated and empty, and stop it at the end."""
    with lock(home):
        family = Family(home)
        try:
            yield _migrated(home, family)
        finally:
            family.stop("postgres")


def _migrated(home: Path, family: Family) -> Settings:
    server = os.environ.get("CONFIDE_DATABASE_URL") or postgres.start(home, family, DURABLE)
    settings = _settings(home, asyncio.run(_fresh(server)))
    migrate = [sys.executable, "-m", "api.cli", "migrate"]
    family.run("migrate", Command(migrate, env=_environment(settings)), seconds=120)
    return settings


def _up(home: Path, family: Family) -> Place:
    settings = _migrated(home, family)
    here = Place(home, family, settings, asyncio.run(fill.fill(settings)))
    here.serve("api", "api.cli", "serve")
    here.serve("floor", "api.bench.floor", str(port(home, "floor")))
    return here


def _settings(home: Path, database_url: str) -> Settings:
    return Settings(
        environment=Environment.DEVELOPMENT,
        home=home,
        port=port(home, "api"),
        database_url=database_url,
        kms=f"file:{home / 'keyring.json'}",
        issuer=f"http://{HOST}:{port(home, 'api')}",
        audit_deadline=PATIENCE,
    )


def _environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "CONFIDE_ENVIRONMENT": settings.environment,
        "CONFIDE_HOME": str(settings.home),
        "CONFIDE_PORT": str(settings.port),
        "CONFIDE_DATABASE_URL": settings.database_url.get_secret_value(),
        "CONFIDE_DATABASE_POOL": str(settings.database_pool),
        "CONFIDE_BROKER_URL": settings.broker_url.get_secret_value(),
        "CONFIDE_KMS": settings.kms,
        "CONFIDE_AUDIT_DEADLINE": str(settings.audit_deadline),
        "CONFIDE_ISSUER": settings.issuer,
    }


async def _fresh(server: str) -> str:
    """Return the URL of an empty database on a server; the last run's goes."""
    plain = server.replace("+asyncpg", "", 1)
    async with alone(plain) as connection:
        await connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {DATABASE}")
    return urlsplit(plain)._replace(path=f"/{DATABASE}").geturl()
