"""A ledger without a broker: events stored by its writer, sealed by a sealer, in the test's own process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from core.crypto.kek import KekProvider
from core.database import Database
from core.ids import new_id
from core.transparency.book import Book
from policies.vocabulary import Action, Outcome, ResourceType
from records.audit import ledger, sealer
from records.audit.batch import Sent
from records.audit.event import Event, Origin, Stamp
from records.audit.log_key import open_signer
from records.audit.producers import Producer, Producers
from records.audit.sealer import Sealer

ISSUER = "https://clinic.example"


def event(**changes: object) -> Event:
    fields = {
        "actor": new_id(),
        "action": Action.READ,
        "outcome": Outcome.ALLOW,
        "resource_type": ResourceType.RECORD,
        "resource_ids": (new_id(),),
        "patient": new_id(),
        "origin": Origin("GET /v1/records/{record_id}", str(new_id())),
    }
    return Event(**(fields | changes))  # type: ignore[arg-type]


def event_at(at: datetime, **changes: object) -> Event:
    """Return an event of another time, with an id of that time."""
    low = new_id().int & ((1 << 80) - 1)
    made = UUID(int=int(at.timestamp() * 1000) << 80 | low)
    return event(id=made, occurred_at=at, **changes)


@asynccontextmanager
async def role(url: str, name: str | None) -> AsyncIterator[Database]:
    async with Database(url, role=name, size=1) as database:
        yield database


async def store(url: str, *events: Event) -> None:
    async with role(url, ledger.ROLE) as database:
        await ledger.store(database, [e.body() for e in events])


async def sealed(url: str, keys: KekProvider, *events: Event) -> list[Sent]:
    """Return events as a producer sends them that the ledger's worker knows."""
    producer = Producer(keys)
    async with role(url, None) as database:
        await producer.introduce(database)
    bodies = [(e.id, e.body(Stamp(producer.boot, n))) for n, e in enumerate(events)]
    return [Sent(str(i), body, producer.seal(body)) for i, body in bodies]


async def made(url: str, keys: KekProvider, *events: Event) -> None:
    """Store events as the ledger's worker does that a producer has sent."""
    async with role(url, ledger.ROLE) as database:
        await ledger.accept(database, Producers(keys), await sealed(url, keys, *events))


async def drain(url: str) -> None:
    """Do what relay and worker do: move everything from the outbox into the ledger."""
    async with role(url, ledger.ROLE) as database:
        connection = await asyncpg.connect(url)
        bodies = [r["body"] for r in await connection.fetch("SELECT body FROM audit.outbox")]
        await connection.close()
        await ledger.store(database, bodies)


async def seal(url: str, home: Path, **options: Any) -> int:
    """Run a fresh sealer once, from the lock to the signature."""
    async with role(url, sealer.ROLE) as database, database.bare() as connection:
        one = Sealer(open_signer(home, ISSUER), Book(home / sealer.BOOK), **options)
        await one.resume(connection)
        return await one.once(connection)


async def filled(url: str, home: Path, *sizes: int) -> Sequence[Event]:
    """Store and seal batches of events; return them all."""
    events = list[Event]()
    for size in sizes:
        batch = [event() for _ in range(size)]
        await store(url, *batch)
        await seal(url, home)
        events += batch
    return events


async def as_superuser(url: str, *statements: str) -> None:
    """Do to the ledger what only the server's superuser can do: its triggers are switched off first."""
    connection = await asyncpg.connect(url)
    for table in ("event", "leaf", "tree_node", "checkpoint"):
        await connection.execute(f"ALTER TABLE audit.{table} DISABLE TRIGGER USER")
    for statement in statements:
        await connection.execute(statement)
    for table in ("event", "leaf", "tree_node", "checkpoint"):
        await connection.execute(f"ALTER TABLE audit.{table} ENABLE TRIGGER USER")
    await connection.close()


def unbundled(bundle: bytes) -> Sequence[bytes]:
    """Return the entries of a bundle; ValueError if it ends in the midst of one."""
    entries = list[bytes]()
    while bundle:
        size = int.from_bytes(bundle[:2], "big")
        entry, bundle = bundle[2 : 2 + size], bundle[2 + size :]
        if len(entry) != size:
            raise ValueError("the bundle is cut short")
        entries.append(entry)
    return entries
