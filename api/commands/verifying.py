"""What `confide verify …` does: compares rows with the log as a role that may read both and nothing else."""

import asyncio
import json
import sys

from rich.progress import Progress

import records.tables  # noqa: F401 - all that is anchored
from api.commands.telling import console
from core.crypto.keyring import open_provider
from core.database import Database
from core.settings import settings
from records.custody.comparing import ROLE, compare
from records.custody.tampering import Comparison


def compared() -> Comparison:
    """Return the comparison of this installation's rows with its log."""
    return asyncio.run(_compared())


def tell(report: Comparison, *, as_json: bool) -> None:
    """Print a report."""
    text = json.dumps(report.as_dict(), indent=2) if as_json else "\n".join(report.sentences())
    sys.stdout.write(text + "\n")


async def _compared() -> Comparison:
    keys = open_provider(settings().kms)
    with Progress(console=console, transient=True) as shown:
        bar = shown.add_task("rows", total=None)

        def tell_progress(name: str, done: int, total: int) -> None:
            shown.update(bar, description=name, completed=done, total=total)

        async with Database(settings().postgres_url, role=ROLE, size=1) as database:
            return await compare(database, keys, tell_progress)
