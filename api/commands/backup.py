"""`confide backup` and `confide restore`. The work is in `api.commands.backing_up`, loaded when needed."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from core.settings import settings

app = typer.Typer()
console = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


@app.command(epilog="Example: confide backup /backups/$(date -I) --json")
def backup(
    folder: Annotated[Path, typer.Argument(help="a folder that is made")], as_json: Json = False
) -> None:
    """Back up the database and the attachments, which are ciphertext. Keys are backed up elsewhere."""
    from api.commands.backing_up import back_up

    manifest = back_up(settings(), folder, console)
    console.print(f"Backed up to {folder}. The keyring is not in it.", soft_wrap=True)
    _tell(manifest, as_json=as_json)


@app.command(epilog="Example: confide restore /backups/2026-11-25")
def restore(
    folder: Annotated[Path, typer.Argument(exists=True, help="what `confide backup` made")],
    as_json: Json = False,
) -> None:
    """Bring a backup into an empty database. Then: `confide migrate`, start all, the sealer last."""
    from api.commands.backing_up import restore as bring_back

    manifest = bring_back(settings(), folder, console)
    console.print(
        "Restored. Now `confide migrate`; start the sealer last: it refuses a log older than what it signed.",
        soft_wrap=True,
    )
    _tell(manifest, as_json=as_json)


def _tell(result: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
