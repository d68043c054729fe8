"""`confide backup` and `confide restore`. The work is in `api.commands.backing_up`, loaded when needed."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands.telling import Json, console, print_json
from core.settings import settings

app = typer.Typer()


@app.command(epilog="Example: confide backup /backups/$(date -I) --json")
def backup(
    folder: Annotated[Path, typer.Argument(help="a folder that is made")], as_json: Json = False
) -> None:
    """Back up the database and the attachments, which are ciphertext. Keys are backed up elsewhere."""
    from api.commands.backing_up import back_up

    manifest = back_up(settings(), folder, console)
    console.print(f"Backed up to {folder}. The keyring is not in it.", soft_wrap=True)
    if as_json:
        print_json(manifest)


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
    if as_json:
        print_json(manifest)
