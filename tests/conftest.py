"""Real servers for tests: PostgreSQL and RabbitMQ once a session, a database of its own for each test."""

import gc
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.embedded_homes import processes_of
from tests.servers import (
    Servers,
    cloned,
    execute,
    in_database,
    migrate,
    open_folder,
    refuse_without_broker,
)

# Argon2id as cheap as it goes: what is tested is that it is used, not that it is slow.
os.environ.setdefault("CONFIDE_ARGON2_MEMORY_KIB", "8")
os.environ.setdefault("CONFIDE_ARGON2_TIME", "1")

TEMPLATE = "confide_template"
_running = pytest.StashKey[Servers]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the broker, which takes longest, while the tests that do not need it run.

    What was loaded until now is there to stay. The garbage collector, which would walk through all of it in each test that
    makes an application, is told so, as in a process that serves.
    """
    if session.config.option.collectonly:
        return
    gc.collect()
    gc.freeze()
    if any("broker" in getattr(item, "fixturenames", ()) for item in session.items):
        _servers_of(session.config).broker()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each fault came to, with the seed that repeats it, and what was measured."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, ())]
    told = [dict(getattr(report, "user_properties", ())) for report in reports]
    faults = [found["fault"] for found in told if "fault" in found]
    measured = [found["measured"] for found in told if "measured" in found]
    for line in [*sorted(faults, key=lambda line: int(line[1:].split()[0])), *sorted(measured)]:
        terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _running in config.stash:
        config.stash[_running].stop()


def _servers_of(config: pytest.Config) -> Servers:
    if _running not in config.stash:
        config.stash[_running] = Servers()
    return config.stash[_running]


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Servers:
    return _servers_of(pytestconfig)


@pytest.fixture(scope="session")
def postgres(servers: Servers) -> str:
    """The URL of a PostgreSQL's owner, in an empty database."""
    return servers.postgres()


@pytest.fixture(scope="session")
def broker(servers: Servers) -> Iterator[str]:
    """The URL of a real RabbitMQ; skips where there is none, except in CI."""
    url = servers.broker().result()
    if url is None:
        refuse_without_broker()
    else:
        yield url


@pytest.fixture(scope="session")
async def template_url(postgres: str, servers: Servers) -> str:
    """The URL of a migrated database nobody is connected to, to be cloned."""
    await execute(postgres, f"DROP DATABASE IF EXISTS {TEMPLATE}")
    await execute(postgres, f"CREATE DATABASE {TEMPLATE}")
    url = in_database(postgres, TEMPLATE)
    migrate(url, servers.home)
    return url


@pytest.fixture
async def database_url(postgres: str, template_url: str) -> AsyncIterator[str]:
    """The URL of a migrated, empty database of this test's own. `template_url` is where it comes from."""
    async with cloned(postgres, template_url) as url:
        yield url


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for servers; none may be left in it at the end."""
    folder = open_folder()
    yield folder
    assert processes_of(folder) == [], "a test left servers behind"
    shutil.rmtree(folder)
