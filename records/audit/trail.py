"""The trail: an act's event is on disk before anything of the act leaves.

A read calls `note()` and waits. One task takes all that waits, writes it as one INSERT, and wakes everybody once
PostgreSQL has flushed it (group commit): thirty concurrent reads share one round trip and one fsync. A write calls
`note_within()`: its event commits or rolls back with it. Without the trail there is no read: the answer is 503.
"""

import asyncio
from collections import deque
from typing import Final
from uuid import UUID

import structlog

from core.database import Database
from core.errors import Unavailable
from records.audit.event import Event
from records.audit.models import Outbox
from records.base import Executor, add

BATCH: Final = 200
"""Events in one INSERT at most."""

_INSERT = "INSERT INTO audit.outbox (event_id, body, created_at) SELECT i, b, now() FROM unnest($1::uuid[], $2::bytea[]) AS e (i, b)"

_Entry = tuple[UUID, bytes]
_Waiting = tuple[list[_Entry], asyncio.Future[None]]

log = structlog.get_logger()


class Trail:
    """One writer a process. `start()` it in the event loop that reads; `stop()` writes what waits."""

    def __init__(self, database: Database, *, deadline: float = 1.0) -> None:
        self._database = database
        self._deadline = deadline
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write."""
        self._writer = asyncio.create_task(self._write_for_ever(), name="audit trail")

    async def stop(self) -> None:
        """Write what waits, then end."""
        while self._waiting:
            await self._flush()
        if self._writer:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def note(self, *events: Event) -> None:
        """Return once the events are durable; raise Unavailable when they are not within the deadline."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(([(e.id, e.body()) for e in events], written))
        self._wake.set()
        # A timer of its own costs a read a tenth of what `asyncio.timeout` does.
        patience = asyncio.get_running_loop().call_later(self._deadline, _give_up, written)
        try:
            await written
        finally:
            patience.cancel()

    async def note_within(self, session: Executor, *events: Event) -> None:
        """Write the events into the caller's own transaction."""
        await add(session, *(Outbox(event_id=e.id, body=e.body()) for e in events))

    async def _write_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._flush()

    async def _flush(self) -> None:
        batch = self._take()
        failure = await self._store([entry for entries, _ in batch for entry in entries])
        for _, written in batch:
            if written.done():
                continue
            if failure:
                written.set_exception(failure)
            else:
                written.set_result(None)

    def _take(self) -> list[_Waiting]:
        batch, size = [], 0
        while self._waiting and size < BATCH:
            batch.append(self._waiting.popleft())
            size += len(batch[-1][0])
        return batch

    async def _store(self, entries: list[_Entry]) -> Unavailable | None:
        ids, bodies = [e[0] for e in entries], [e[1] for e in entries]
        try:
            async with asyncio.timeout(self._deadline), self._database.bare() as connection:
                await connection.execute(_INSERT, ids, bodies)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            log.error("audit trail did not write", events=len(ids), error=type(error).__name__)
            return _silent()
        return None


def _silent() -> Unavailable:
    return Unavailable("the audit trail does not answer", code="audit-unavailable")


def _give_up(written: asyncio.Future[None]) -> None:
    if not written.done():
        written.set_exception(_silent())
