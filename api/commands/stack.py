"""What `confide dev` keeps running: the servers of one home, and Confide's own processes on them."""

import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread

from rich.console import Console

from core.embedded import postgres, rabbitmq
from core.embedded.home import fingerprint, write
from core.embedded.processes import Child, Command, Family, ProcessError
from core.embedded.watch import watch

HOST = "127.0.0.1"
CHECKOUT = Path(__file__).resolve().parents[2]
CODE = [CHECKOUT / part for part in ("api", "core", "policies", "records", "migrations")]
CARRIERS = {"worker", "relay", "sealer"}
BACKGROUND = ("worker", "relay", "sealer", "chores")
STOP_ORDER = ("chores", "worker", "relay", "sealer", "api", "broker", "epmd", "postgres")


class Stack:
    """One home's servers and the processes of Confide that use them. What must be fetched is kept among `programs`."""

    def __init__(
        self, home: Path, port: int, console: Console, programs: Path | None = None
    ) -> None:
        self.home = home
        self.programs = programs or home
        self.port = port
        self.console = console
        self.family = Family(home)
        self.began = time.monotonic()
        self.database_url = os.environ.get("CONFIDE_DATABASE_URL", "")
        self.embedded = not self.database_url
        self.broker_url: Future[str] = Future()
        self.broker_ready: Future[None] = Future()
        self.installation: rabbitmq.Installation | None = None

    def up(self) -> None:
        """Start everything and return when it is ready. The broker starts alongside: health needs none."""
        Thread(target=self._bring_broker, daemon=True).start()
        if self.embedded:
            with self.step("PostgreSQL"):
                self.database_url = postgres.start(self.home, self.family)
        self._prepare()
        with self.step("Broker found"):
            self._write_down(self.broker_url.result())
        with self.step("API healthy"):
            self.start("serve", "api").await_ready(partial(self.answers, "/healthz"), 60)
        with self.step("Broker ready"):
            self._await_broker()
        with self.step("Background started, API ready"):
            for name in BACKGROUND:
                self.start(name, name)
            self._await_readiness(self.family.children["api"])

    def watch(self) -> None:
        """Start again what may fall; ProcessError when the API or PostgreSQL falls."""
        revivable: dict[str, Callable[[], object]] = {
            name: partial(self.start, name, name) for name in BACKGROUND
        }
        if self.installation is not None:
            again = partial(rabbitmq.start, self.home, self.family, self.installation)
            revivable |= {"broker": again, "epmd": again}
        watch(self.family, revivable, self.warn)

    def down(self) -> None:
        """Stop everything."""
        self.family.stop(*STOP_ORDER)
        (self.home / "stack.json").unlink(missing_ok=True)

    def start(self, command: str, name: str) -> Child:
        """Start `confide <command>` as the child `name`."""
        return self.family.spawn(name, self.confide(command, **self._narrowed(name)))

    def _narrowed(self, name: str) -> dict[str, str]:
        """Let those who carry and seal events have the key of the trail alone, unless the operator says where keys are."""
        if name not in CARRIERS or "CONFIDE_KMS" in os.environ:
            return {}
        return {"CONFIDE_KMS": f"{(self.home / 'keyring.json').as_uri()}?purposes=audit"}

    def warn(self, text: str) -> None:
        self.console.print(f"[yellow]{text}[/yellow]", soft_wrap=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show a step while it runs, and a line with its seconds and the sum afterwards."""
        began = time.monotonic()
        with self.console.status(what):
            yield
        now = time.monotonic()
        self.console.print(f"{what:<38} {now - began:6.1f} s  {now - self.began:6.1f} s")

    def _prepare(self) -> None:
        """Migrate and load the demo clinic, unless this very code has done so in our own database."""
        stamp, code = self.home / "postgres/data/prepared", fingerprint(*CODE)
        if self.embedded and stamp.exists() and stamp.read_text() == code:
            return
        with self.step("Migrations"):
            self.family.run("migrate", self.confide("migrate"), seconds=300)
        with self.step("Demo clinic"):
            self.family.run("seed", self.confide("seed"), seconds=300)
        if self.embedded:
            write(stamp, code)

    def _bring_broker(self) -> None:
        """Fill both futures, come what may: somebody waits for them."""
        try:
            self.broker_url.set_result(self._choose_broker())
            if self.installation is not None:
                broker = rabbitmq.start(self.home, self.family, self.installation)
                rabbitmq.await_ready(self.home, broker)
            self.broker_ready.set_result(None)
        except Exception as failure:  # noqa: BLE001 - raised again by whoever waits
            for future in (self.broker_url, self.broker_ready):
                if not future.done():
                    future.set_exception(failure)

    def _choose_broker(self) -> str:
        given = os.environ.get("CONFIDE_BROKER_URL", "")
        if given:
            return given
        self.installation = rabbitmq.obtain(self.programs)
        if self.installation is not None:
            return rabbitmq.url(self.home)
        self.warn(
            "No RabbitMQ here and none to be fetched: messages go through files instead. A killed worker may "
            "lose one, the relay then sends it again. Install rabbitmq-server or set CONFIDE_BROKER_URL."
        )
        return "filesystem://"

    def _await_broker(self) -> None:
        """Wait for the broker, but not at the price of the API: worker and relay try again by themselves."""
        try:
            self.broker_ready.result()
        except ProcessError as failure:
            self.warn(f"Going on without a broker for now: {failure}")

    def _await_readiness(self, api: Child) -> None:
        """Wait for every part; without one of them a living API is still worth keeping."""
        try:
            api.await_ready(partial(self.answers, "/readyz"), 60)
        except ProcessError:
            if api.exit_code is not None:
                raise
            self.warn(
                f"Not everything is ready, http://{HOST}:{self.port}/readyz says what is missing."
            )

    def _write_down(self, broker_url: str) -> None:
        """Let `confide …` commands of the same home find this stack."""
        found = {
            "environment": self._environment()["CONFIDE_ENVIRONMENT"],
            "port": self.port,
            "database_url": self.database_url,
            "broker_url": broker_url,
        }
        write(self.home / "stack.json", json.dumps(found, indent=2))

    def confide(self, *argv: str, **variables: str) -> Command:
        """Return a command of ours as this stack's processes run it."""
        environment = self._environment() | variables
        return Command([sys.executable, "-m", "api.cli", *argv], env=environment)

    def _environment(self) -> dict[str, str]:
        settled = self.broker_url.done() and self.broker_url.exception() is None
        broker = {"CONFIDE_BROKER_URL": self.broker_url.result()} if settled else {}
        return {
            "CONFIDE_ENVIRONMENT": "development",
            **os.environ,
            **broker,
            "CONFIDE_HOME": str(self.home),
            "CONFIDE_PORT": str(self.port),
            "CONFIDE_DATABASE_URL": self.database_url,
        }

    def answers(self, path: str) -> bool:
        """Tell whether the API says 200 to a path that needs no login."""
        return answers(self.port, path)


def answers(port: int, path: str) -> bool:
    """Tell whether what listens on a port of this machine says 200 to a path."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
