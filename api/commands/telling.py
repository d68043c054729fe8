"""How commands tell what came of them: one result on standard output, all else on standard error."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]

console: Final = Console(stderr=True, highlight=False)


def print_json(told: Any) -> None:
    """Print one result."""
    from api.json import dumps

    sys.stdout.write(dumps(told).decode() + "\n")


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


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str("" if value is None else value)
