"""A whole clinic to inject faults into: PostgreSQL, RabbitMQ, API, relay, worker and sealer, each of which can be killed.

The client keeps its own ledger of every answer that carried PHI. P0, which every fault must leave standing: each of these
answers has its event in the log, no event is there twice, places run from 0 without a gap, and the verifier finds nothing.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import httpx

from core.broker import celery_app
from core.embedded import postgres, rabbitmq
from core.settings import Settings
from core.transparency.book import Book
from core.transparency.notes import Key
from records.audit import inspection
from records.audit.log_key import VERIFIER_KEY
from records.audit.sealer import BOOK
from records.audit.verifier.findings import Report
from records.clinic import Clinic
from records.identity import sessions
from records.identity.tokens import Tokens
from tests.clinics import DETAILS, keyring, open_clinic, populate
from tests.pipelines import Pipeline
from tests.running import answers, free_port
from tests.sealing import role
from tests.servers import migrate, require_rabbitmq

READERS = 4
ROOM = 400 << 20
"""Bytes of the disk that PostgreSQL is given, where it may be given one."""
SMALL = {"max_wal_size": "64MB", "min_wal_size": "32MB", "checkpoint_timeout": "1h"}
NAMES = ("worker", "relay", "sealer", "serve")
_READS = """
SELECT request_id, count(*) AS times FROM audit.event
WHERE action = 'read' AND outcome = 'allow' AND resource_type = 'record' GROUP BY request_id
"""
_LEAVES = """
SELECT count(*) AS leaves, coalesce(max(leaf_index) + 1, 0) AS size,
  (SELECT count(*) FROM audit.event) AS events FROM audit.leaf
"""


@dataclass
class Seen:
    """What the client saw since the fault's test began."""

    shown: list[str] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    leaks: int = 0
    cut: int = 0


@dataclass
class Stand:
    """The clinic. `seen` is the client's ledger of the present test."""

    line: Pipeline
    disk: Path
    broker_url: str
    address: str
    bearer: dict[str, str]
    record_id: str
    seen: Seen = field(default_factory=Seen)

    @property
    def own_disk(self) -> bool:
        """Whether PostgreSQL has a disk that may be filled."""
        return self.disk.is_mount()

    @property
    def url(self) -> str:
        return self.line.url

    async def read(self, seconds: float, over: asyncio.Event | None = None) -> None:
        """Read a record without a pause, as several clients: for so long, and until it is `over` if that is later."""
        end = monotonic() + seconds

        def goes_on() -> bool:
            return monotonic() < end or (over is not None and not over.is_set())

        async with httpx.AsyncClient(headers=self.bearer, timeout=10) as http:
            await asyncio.gather(*(self._read(http, goes_on) for _ in range(READERS)))

    async def _read(self, http: httpx.AsyncClient, goes_on: Callable[[], bool]) -> None:
        while goes_on():
            began = monotonic()
            try:
                answer = await http.get(f"{self.address}/v1/records/{self.record_id}")
            except httpx.HTTPError:
                self.seen.cut += 1
                await asyncio.sleep(0.05)
                continue
            self._note(answer, monotonic() - began)
            await asyncio.sleep(0.01 if answer.status_code == 200 else 0.05)

    def _note(self, answer: httpx.Response, seconds: float) -> None:
        seen = self.seen
        seen.codes[answer.status_code] += 1
        seen.slowest = max(seen.slowest, seconds)
        if answer.status_code == 200:
            seen.shown.append(answer.headers["X-Request-Id"])
        elif "content" in answer.json() or str(DETAILS.name) in answer.text:
            seen.leaks += 1

    async def sql(self, query: str, *given: Any) -> Any:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(query, *given)
        finally:
            await connection.close()

    async def sealed(self, seconds: float = 30) -> float:
        """Return how long it took until everything was in the ledger and had its place in the log."""
        began = monotonic()
        await self.line.drained(seconds)
        while await self.sql("SELECT FROM audit.unsealed LIMIT 1"):
            assert monotonic() - began < seconds, "events are not sealed"
            await asyncio.sleep(0.1)
        return monotonic() - began

    async def missing_and_doubled(self) -> tuple[int, int]:
        """Return how many answers have no event, and how many have more than one, or a place too many."""
        times = {row["request_id"]: row["times"] for row in await self.sql(_READS)}
        (log,) = await self.sql(_LEAVES)
        assert log["leaves"] == log["size"] == log["events"], dict(log)
        missing = sum(request not in times for request in self.seen.shown)
        return missing, sum(n > 1 for n in times.values())

    async def verified(self) -> Report:
        key = Key.parse((self.line.home / VERIFIER_KEY).read_text())
        async with role(self.url, inspection.ROLE) as database:
            return await inspection.inspect(database, key, Book(self.line.home / BOOK))

    async def later(self) -> None:
        """Let half a minute pass for the relay: what it sent and is still there is sent again."""
        await self.sql("UPDATE audit.outbox SET sent_at = sent_at - interval '1 minute'")

    def celery(self) -> Any:
        return celery_app(self.broker_url, self.line.home)

    def children(self, name: str) -> list[int]:
        """Return the processes that one of ours has forked."""
        pid = self.line.family.children[name].process.pid
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    async def start(self, *names: str) -> None:
        """Start processes, again if need be; return once the API answers, if it is one of them."""
        self.line.start(*names)
        if "serve" in names:
            await answers(f"{self.address}/healthz")

    async def start_broker(self) -> None:
        home, family = self.line.home, self.line.family

        def start() -> None:
            rabbitmq.await_ready(home, rabbitmq.start(home, family, require_rabbitmq()))

        await asyncio.to_thread(start)

    async def start_postgres(self) -> None:
        await asyncio.to_thread(postgres.start, self.disk, self.line.family, SMALL)

    def crash_postgres(self) -> None:
        """Do what `pg_ctl -m immediate` does: no checkpoint, no farewell."""
        child = self.line.family.children["postgres"]
        child.process.send_signal(signal.SIGQUIT)
        child.process.wait(20)

    async def ctl(self, expression: str) -> None:
        """Have the broker evaluate an Erlang expression."""
        home, installation = self.line.home, require_rabbitmq()
        environment = rabbitmq._configure(home, home / "broker", installation)
        command = [installation.server.with_name("rabbitmqctl"), "eval", expression]
        await asyncio.to_thread(
            subprocess.run, command, env=environment, check=True, capture_output=True, timeout=60
        )


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own for PostgreSQL, where we may mount one; else a folder."""
    disk = folder / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={ROOM},mode=755", "confide", str(disk)]
    mount, umount = (shutil.which(name) for name in ("mount", "umount"))
    able = os.geteuid() == 0 and mount and umount
    mounted = able and subprocess.run([mount, *options], check=False).returncode == 0
    try:
        yield disk
    finally:
        if mounted:
            subprocess.run([umount, "-l", disk], check=True)


@asynccontextmanager
async def stand(home: Path) -> AsyncIterator[Stand]:
    """Bring everything up, with a doctor who reads one record."""
    require_rabbitmq()
    with _small_disk(home) as disk:
        line = Pipeline("", rabbitmq.url(home), home)
        try:
            line.url = await asyncio.to_thread(postgres.start, disk, line.family, SMALL)
            port = free_port()
            line.environment |= {
                "CONFIDE_DATABASE_URL": line.url,
                "CONFIDE_PORT": str(port),
                "CONFIDE_ISSUER": f"http://127.0.0.1:{port}",
            }
            yield await _brought_up(line, disk, port)
        finally:
            line.family.stop(*NAMES, "broker", "epmd", "postgres")


async def _brought_up(line: Pipeline, disk: Path, port: int) -> Stand:
    address = f"http://127.0.0.1:{port}"
    chosen = Settings(
        home=line.home, environment="development", database_url=line.url, issuer=address, port=port
    )
    keyring(line.home)
    bare = Stand(line, disk, rabbitmq.url(line.home), address, {}, "")
    broker = asyncio.create_task(bare.start_broker())
    await asyncio.to_thread(migrate, line.url, line.home)
    async with open_clinic(line.url, line.home) as clinic:
        people = await populate(clinic)
        bare.record_id = str(people.record.id)
        bare.bearer = await _bearer(clinic, chosen, people.adams)
    await broker
    await bare.start(*NAMES)
    await bare.sealed(60)
    return bare


async def _bearer(clinic: Clinic, chosen: Settings, me: Any) -> dict[str, str]:
    tokens = Tokens.of(chosen)
    async with clinic.database.transaction() as session:
        family = await sessions.start(session, me.subject.id, "confide-cli", "openid", tokens.life)
    return {"Authorization": f"Bearer {tokens.access(family)}"}
