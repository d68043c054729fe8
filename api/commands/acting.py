"""What commands share that do over HTTP's own functions what administrators do: who they act as, and how they print rows."""

import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import records.tables  # noqa: F401 - foreign keys resolve once every table is known
from api.json import dumps
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


def print_rows(rows: Iterable[Mapping[str, Any]], shown: Sequence[str], *, as_json: bool) -> None:
    """Print some columns of rows: as a table, or as JSON."""
    chosen = [{name: row[name] for name in shown} for row in rows]
    if as_json:
        print_json(chosen)
        return
    table = Table(*shown, box=SIMPLE_HEAD)
    for row in chosen:
        table.add_row(*(_cell(value) for value in row.values()))
    Console().print(table)


def print_json(told: Any) -> None:
    """Print one result on standard output."""
    sys.stdout.write(dumps(told).decode() + "\n")


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str("" if value is None else value)
