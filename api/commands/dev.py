"""The whole stack on one machine: `confide dev`, which is what `make run` calls."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from rich.console import Console

from api.commands.stack import HOST, Stack
from core.embedded.home import is_free, lock
from core.embedded.processes import ProcessError, end_with_parent

ACCOUNTS = (
    ("admin@demo", "people, policies and keys"),
    ("compliance@demo", "the audit trail and reviews"),
    ("reception@demo", "bookings"),
    ("nurse@demo", "care on the ward"),
    ("dr.adams@demo", "treats some patients"),
    ("dr.baker@demo", "treats others"),
    ("patient@demo", "their own record"),
)


def run(home: Path, port: int) -> int:
    """Run the stack in the foreground until Ctrl-C or SIGTERM; return the exit code.

    A server named by CONFIDE_DATABASE_URL or CONFIDE_BROKER_URL is used instead of an embedded one.
    """
    console = Console(highlight=False)
    if os.environ.get("MAKELEVEL"):
        end_with_parent()  # kill -9 of make must not leave us
    try:
        with lock(home.resolve()):
            _refuse_taken(port)
            _run(Stack(home.resolve(), port, console))
    except ProcessError as failure:
        console.print(f"[red]{failure}[/red]", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        with suppress(OSError):
            console.print("Everything is stopped. The data stays in", home, soft_wrap=True)
    return 0


def _run(stack: Stack) -> None:
    _on_signals(_interrupt)
    try:
        stack.up()
        _introduce(stack)
        stack.watch()
    finally:
        _on_signals(_ignore)
        with suppress(OSError):  # of a terminal that was closed
            stack.console.print("Stopping …")
        stack.down()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Interrupt once: terminals and make send signals in pairs, and the second would cut the stop short."""
    _on_signals(_ignore)
    raise KeyboardInterrupt


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Hear a signal and do nothing: Python complains where SIG_IGN is set with a signal under way."""


def _on_signals(act: Callable[[int, FrameType | None], None]) -> None:
    """Treat SIGTERM and a closed terminal like Ctrl-C; what `nohup` has silenced stays so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, act)


def _refuse_taken(port: int) -> None:
    if not is_free(port):
        raise ProcessError(
            f"port {port} of {HOST} is taken: stop what listens there, "
            f"or choose another one, such as CONFIDE_PORT={port + 1}"
        )


def _introduce(stack: Stack) -> None:
    """Say where everything is and who may log in."""
    url = f"http://{HOST}:{stack.port}"
    stack.console.print(
        f"\n[bold]Confide runs at {url}[/bold], its documentation at {url}/docs\n", soft_wrap=True
    )
    for name, what in ACCOUNTS:
        stack.console.print(f"  {name:<16} {what}")
    stack.console.print("\nEvery demo account's password is [bold]confide-demo[/bold].")
    stack.console.print("Ctrl-C stops everything.")
