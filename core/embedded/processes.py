"""Child processes that end when we do, speak into a log and stop in a stated order."""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1
LOG_LIMIT = 5 * 1024 * 1024

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
# Linux ties a child to the *thread* that forked it, so one thread forks and lives as long as we do.
_forker = ThreadPoolExecutor(1, "forker")


class ProcessError(Exception):
    """A child or a server did not do what it was started for; the message says which and where its log is."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to start. `stop` is the signal of an orderly end, `death` that of our own sudden one.

    `user` takes effect for root only.
    """

    argv: Sequence[str | Path]
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    user: str | None = None
    stop: signal.Signals = signal.SIGTERM
    death: signal.Signals = signal.SIGTERM


@dataclass(slots=True)
class Child:
    """A running child, the leader of its own session, so that a terminal's Ctrl-C reaches it through us only."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals
    since: float = field(default_factory=time.monotonic)

    @property
    def exit_code(self) -> int | None:
        return self.process.poll()

    def await_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return once `ready()`; ProcessError, naming the log, when the child dies or `seconds` have passed."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.exit_code is not None:
                raise ProcessError(f"{self.name} ended with code {self.exit_code}, see {self.log}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name} was not ready after {seconds:g} s, see {self.log}")
            time.sleep(0.05)

    def await_end(self, seconds: float) -> None:
        """Return once the child has ended well; ProcessError, naming the log, otherwise."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ProcessError(
                f"{self.name} took longer than {seconds:g} s, see {self.log}"
            ) from None
        if code != 0:
            raise ProcessError(f"{self.name} failed with code {code}, see {self.log}")

    def stop(self, seconds: float = 15) -> None:
        """Ask with the child's own signal, then end whatever is left of its session."""
        if self.exit_code is None:
            self.process.send_signal(self.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Family:
    """The children of one home. After `stop` no more can be started, whichever thread tries."""

    def __init__(self, home: Path) -> None:
        self.logs = home / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.children: dict[str, Child] = {}
        self._closed = False

    def spawn(self, name: str, command: Command) -> Child:
        """Start a child that writes to `<home>/logs/<name>.log`. A second one of that name replaces the first."""
        return _forker.submit(self._spawn, name, command).result()

    def run(
        self, name: str, command: Command, *, seconds: float, stdin: IO[bytes] | None = None
    ) -> None:
        """Run a step to its end; ProcessError when it fails or takes longer than `seconds`."""
        child = _forker.submit(self._spawn, name, command, stdin).result()
        try:
            child.await_end(seconds)
        finally:
            child.stop(seconds=1)
            self.children.pop(name, None)

    def stop(self, *order: str) -> None:
        """Stop the named children in this order, then all others."""
        _forker.submit(self._close).result()
        self.end(*order, *self.children)

    def end(self, *names: str) -> None:
        """Stop these children, as far as they exist, one after the other."""
        for name in names:
            child = self.children.get(name)
            if child is not None:
                child.stop()
                self.children.pop(name, None)

    def _spawn(self, name: str, command: Command, stdin: IO[bytes] | None = None) -> Child:
        if self._closed:
            raise ProcessError(f"{name} was not started: everything is being stopped")
        log = self.logs / f"{name}.log"
        with log.open("ab") as output:
            if output.tell() > LOG_LIMIT:
                output.truncate(0)
            process = _popen(
                command, stdin=stdin or subprocess.DEVNULL, stdout=output, stderr=output
            )
        child = self.children[name] = Child(name, process, log, command.stop)
        return child

    def _close(self) -> None:
        self._closed = True


def output(argv: Sequence[str | Path], *, seconds: float, cwd: Path | None = None) -> str:
    """Run a tied command and return what it prints; ProcessError with its last words otherwise."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with _forker.submit(_popen, Command(argv, cwd=cwd), **options).result() as process:
        try:
            printed = process.communicate(timeout=seconds)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{argv[0]} took longer than {seconds:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        raise ProcessError(
            f"{argv[0]} failed with code {process.returncode}: {printed.strip()[-400:]}"
        )
    return printed


def end_with_parent() -> None:
    """Have this very process get SIGTERM when its parent dies (Linux; elsewhere nothing happens)."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _popen(command: Command, **streams: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [os.fspath(part) for part in command.argv],
        env=command.env,
        cwd=command.cwd,
        start_new_session=True,
        preexec_fn=_tie(command.death),  # noqa: PLW1509 - two system calls, and nothing else ties
        **_identity(command.user),
        **streams,
    )


def _identity(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _tie(death: signal.Signals) -> Callable[[], None] | None:
    """Run in the child after setuid, which would clear the tie; a parent already gone is noticed too."""
    if _libc is None:
        return None
    prctl, parent = _libc.prctl, os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, int(death), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie
