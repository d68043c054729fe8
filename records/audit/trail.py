"""The trail: an act's event is on disk before anything of the act leaves.

A read calls `note()` and waits. One task takes all that waits, writes it as one INSERT, and wakes everybody once
PostgreSQL has flushed it (group commit): thirty concurrent reads share one round trip and one fsync. A write calls
`note_within()`: its event commits or rolls back with it, and has the digests of the rows it wrote. Without the trail
there is no read: the answer is 503.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import UUID as PGUUID
from sqlalchemy import Insert, LargeBinary, bindparam, func, insert, select

from core.clock import now
from core.crypto.kek import KekProvider
from core.database import Database, Query, Store, before_commit, pending, when_undone
from core.errors import Unavailable
from core.ids import new_id
from records.anchors import Anchor, taken
from records.audit.event import Event
from records.audit.models import Outbox
from records.audit.numbers import Numbers
from records.audit.producers import Producer
from records.base import table_of

BATCH: Final = 200
"""Events in one INSERT at most."""
LATER: Final = 1.0
"""Seconds until numbers that came to nothing are declared void."""

DECISIONS: Final = Counter(
    "confide_decisions", "Acts that were allowed, refused, or failed", ["action", "outcome"]
)

_INSERT: Final = """
INSERT INTO audit.outbox (event_id, body, seal, created_at)
SELECT i, b, s, now() FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS e (i, b, s)
"""

_WITHIN: Final = insert(table_of(Outbox))

_EVENTS: Final = "events"
ROWS: Final = 24
"""Anchors that an event has room for beside all else."""
ALONE: Final = 50
"""Anchors that one has room for which names nothing else."""
_EVENT: Final = select(
    bindparam("event_id", type_=PGUUID()),
    bindparam("event_body", type_=LargeBinary()),
    bindparam("event_seal", type_=LargeBinary()),
    func.now(),
)

_Entry = tuple[UUID, int, bytes]
_Waiting = tuple[list[_Entry], asyncio.Future[None]]

log = structlog.get_logger()


def noting(making: Insert) -> Query:
    """Return an INSERT ... RETURNING of one row, which puts an event on the trail if it makes the row."""
    made = making.cte("made")
    kept = ["event_id", "body", "seal", "created_at"]
    noted = insert(table_of(Outbox)).from_select(kept, _EVENT.select_from(made)).cte("noted")
    return Query(select(made).add_cte(noted))


class Trail:
    """One writer a process. `start()` it in the event loop that reads; `stop()` writes what waits."""

    def __init__(self, database: Database, keys: KekProvider, *, deadline: float = 1.0) -> None:
        self._database = database
        self._deadline = deadline
        self._producer = Producer(keys)
        self._numbers = Numbers(self._producer.boot)
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write."""
        self._writer = asyncio.create_task(self._write_for_ever(), name="audit trail")

    async def introduce(self) -> None:
        """Make this run known ahead of its first event, which has then all its time to itself."""
        await self._producer.introduce(self._database)

    async def stop(self) -> None:
        """Write what waits, then end."""
        self._enqueue(*self._numbers.declare())
        while self._waiting:
            await self._flush()
        if self._writer:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)

    async def note(self, *events: Event) -> None:
        """Return once the events are durable; raise Unavailable when they are not within the deadline."""
        written = self._enqueue(*events)
        self._wake.set()
        # A timer of its own costs a read a tenth of what `asyncio.timeout` does.
        patience = asyncio.get_running_loop().call_later(self._deadline, _give_up, written)
        try:
            await written
        finally:
            patience.cancel()

    async def note_within(self, session: Any, *events: Event) -> None:
        """Have the events written with the caller's own transaction, as its last act."""
        waiting = pending(session, _EVENTS)
        if not waiting:
            before_commit(session, lambda: self._note_pending(session))
        waiting += events

    async def _note_pending(self, session: Any) -> None:
        """Write the transaction's events, with the anchors of the rows it wrote."""
        await self._producer.introduce(self._database)
        waiting = pending(session, _EVENTS)
        entries = self._stamped(list(_anchored(waiting, taken(session))))
        waiting.clear()
        when_undone(session, lambda: self._void(entries))
        rows = [
            {"event_id": i, "body": b, "seal": self._producer.seal(b), "created_at": now()}
            for i, _, b in entries
        ]
        if rows:
            await session.execute(_WITHIN, rows)

    async def note_by(self, store: Store, event: Event, making: Query, **given: Any) -> Any | None:
        """Run a `noting` statement and return its row: row and event are both durable, or neither is there."""
        await self._producer.introduce(self._database)
        entries = self._stamped([event])
        ((event_id, _, body),) = entries
        row, seal = None, self._producer.seal(body)
        try:
            row = await store.one(
                making, event_id=event_id, event_body=body, event_seal=seal, **given
            )
        finally:
            if row is None:
                self._void(entries)
        when_undone(store, lambda: self._void(entries))
        return row

    def _enqueue(self, *events: Event) -> asyncio.Future[None]:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if events:
            self._waiting.append((self._stamped(events), written))
        return written

    def _stamped(self, events: Sequence[Event]) -> list[_Entry]:
        entries = self._numbers.stamped(events)
        for event in events:
            DECISIONS.labels(event.action, event.outcome).inc()
        return entries

    async def _write_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._flush()

    async def _flush(self) -> None:
        batch = self._take()
        entries = [entry for entries, _ in batch for entry in entries]
        failure = await self._store(entries)
        if failure:
            self._void(entries)
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
        ids, bodies = [e[0] for e in entries], [e[2] for e in entries]
        seals = [self._producer.seal(body) for body in bodies]
        try:
            async with asyncio.timeout(self._deadline):
                await self._producer.introduce(self._database)
                async with self._database.bare() as connection:
                    await connection.execute(_INSERT, ids, bodies, seals)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            log.error("audit trail did not write", events=len(ids), error=type(error).__name__)
            return _silent()
        return None

    def _void(self, entries: list[_Entry]) -> None:
        """Declare numbers void a moment later: nobody waits for that, and the database may be away."""
        self._numbers.void += [number for _, number, _ in entries]
        asyncio.get_running_loop().call_later(LATER, self._declare)

    def _declare(self) -> None:
        void = list(self._numbers.void)
        written = self._enqueue(*self._numbers.declare())
        written.add_done_callback(lambda done: self._undeclared(done, void))
        self._wake.set()

    def _undeclared(self, done: asyncio.Future[None], void: list[int]) -> None:
        """Keep numbers whose declaration was not written either; its own number has them declared anew."""
        if done.cancelled() or done.exception():
            self._numbers.void += void


def _anchored(events: Sequence[Event], rows: list[Anchor]) -> Iterator[Event]:
    """Yield the events, each with its share of the anchors, and more of the last one while some are left."""
    for event in events:
        share, rows = rows[:ROWS], rows[ROWS:]
        yield replace(event, rows=tuple(share)) if share else event
    while rows:
        share, rows = rows[:ALONE], rows[ALONE:]
        yield replace(events[-1], id=new_id(), resource_ids=(), rows=tuple(share))


def _silent() -> Unavailable:
    return Unavailable("the audit trail does not answer", code="audit-unavailable")


def _give_up(written: asyncio.Future[None]) -> None:
    if not written.done():
        written.set_exception(_silent())
