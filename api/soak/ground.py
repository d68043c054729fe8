"""Where the soak runs: a whole stack in a folder of its own, each part of which can be killed and brought back."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from api.commands.stack import BACKGROUND, Stack
from core.crypto.keyring import open_provider
from core.embedded import postgres, rabbitmq
from core.embedded.home import lock, port
from core.embedded.processes import ProcessError
from core.ids import new_id
from core.settings import Environment, Settings
from records.clinic import Clinic
from records.identity import accounts, sessions
from records.identity.models import OAuthSession
from records.identity.ours import CLI
from records.identity.tokens import Tokens

DESK, DOCTOR, COMPLIANCE = "reception@demo", "dr.adams@demo", "compliance@demo"
FIRST, SECOND = "admin@demo", "second.admin@demo"
"""Two administrators: one publishes what the other has drafted."""
_ELSEWHERE: Final = ("DATABASE_URL", "BROKER_URL", "KMS", "ISSUER", "PORT", "HOME", "ATTACHMENTS")
_PATIENT: Final = {
    "CONFIDE_ENVIRONMENT": "development",
    "CONFIDE_SEARCH_LIMIT": "1000000/minute",
    # Where others use the disk too, a stall is a long answer and no refusal.
    "CONFIDE_AUDIT_DEADLINE": "10",
}


@dataclass(slots=True)
class Ground:
    """The stack, and the logins of those who work in its clinic."""

    stack: Stack
    settings: Settings
    logins: Mapping[str, OAuthSession]

    @property
    def url(self) -> str:
        """The address of the database, as its owner."""
        return self.settings.postgres_url

    def bearer(self, who: str) -> str:
        """Return a fresh access token."""
        return Tokens.of(self.settings).access(self.logins[who])

    def kill(self, name: str) -> None:
        """End a part, and all it started, without a word of warning; PostgreSQL as `pg_ctl -m immediate` does."""
        child = self.stack.family.children[name]
        if name == "postgres":
            child.process.send_signal(signal.SIGQUIT)
        else:
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait(20)

    def start(self, name: str) -> None:
        """Bring a part back; return when it answers, if it is one that is asked."""
        home, family = self.stack.home, self.stack.family
        if name == "postgres":
            postgres.start(home, family)
        elif name == "broker":
            assert self.stack.installation
            rabbitmq.await_ready(home, rabbitmq.start(home, family, self.stack.installation))
        elif name == "api":
            self.stack.start("serve", name).await_ready(partial(self.stack.answers, "/healthz"), 60)
        else:
            self.stack.start(name, name)

    def is_ready(self) -> bool:
        """Tell whether the API says that it has all it needs."""
        return self.stack.answers("/readyz")

    def fallen(self) -> list[str]:
        """Name the processes of Confide's own that have ended by themselves."""
        children = self.stack.family.children
        return [name for name in ("api", *BACKGROUND) if children[name].exit_code is not None]


@contextmanager
def ground(home: Path, programs: Path, console: Console) -> Iterator[Ground]:
    """Bring up a stack with the demo clinic in an empty folder; ProcessError if that cannot be done.

    It runs on servers that can be killed, wherever the environment says that others are; `programs` holds fetched ones.
    """
    with lock(home):
        _empty(home)
        for name in _ELSEWHERE:
            os.environ.pop(f"CONFIDE_{name}", None)
        os.environ.update(_PATIENT)
        stack = Stack(home, port(home, "api"), console, programs)
        try:
            stack.up()
            if stack.installation is None:
                raise ProcessError("the soak needs a RabbitMQ of its own to kill")
            yield asyncio.run(_open(stack))
        finally:
            stack.down()


def _empty(home: Path) -> None:
    """Forget the last run, but not who holds the lock."""
    for path in home.iterdir():
        if path.name != "lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


async def _open(stack: Stack) -> Ground:
    """Log everybody in, and make a second administrator: nobody publishes what they wrote."""
    chosen = Settings(
        environment=Environment.DEVELOPMENT,
        home=stack.home,
        port=stack.port,
        database_url=stack.database_url,
    )
    async with Clinic.open(chosen.postgres_url, open_provider(chosen.kms), pool=2) as clinic:
        first = await accounts.named(clinic, FIRST)
        assert first
        async with clinic.database.transaction() as session:
            await accounts.create(
                session,
                clinic.indexes,
                username=SECOND,
                password=str(new_id()),
                roles=first.roles,
            )
        logins = {
            name: await _login(clinic, chosen, name)
            for name in (DESK, DOCTOR, COMPLIANCE, FIRST, SECOND)
        }
    return Ground(stack, chosen, logins)


async def _login(clinic: Clinic, chosen: Settings, name: str) -> OAuthSession:
    account = await accounts.named(clinic, name)
    assert account
    async with clinic.database.transaction() as session:
        life = Tokens.of(chosen).life
        return await sessions.start(session, account.id, CLI, "openid", life)
