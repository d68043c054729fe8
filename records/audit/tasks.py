"""The Celery tasks around the ledger: batches into it, dead letters back to it, missing numbers, coming months."""

import time
from contextlib import suppress
from functools import cache
from typing import Any

import orjson
import structlog
from celery import current_app, shared_task

from core.broker import DEAD
from core.desk import Desk, desk
from core.errors import Unavailable
from records.audit import sealer
from records.audit.batch import TASK, Forged, Sent, unpack
from records.audit.ledger import ROLE, accept, quarantine
from records.audit.numbers import reconcile
from records.audit.producers import Producers

PATIENCE = (0.5, 1, 2, 4, 8, 15, 30, 30, 30)
"""Seconds between tries while the database is away: two minutes, then the batch is dead-lettered."""
READER = "confide_app"
MONTHS = "SELECT audit.add_partitions(now(), now() + interval '12 months')"

log = structlog.get_logger()


@shared_task(name=TASK)  # type: ignore[untyped-decorator]
def store_batch(rows: list[list[str]], mac: str) -> None:
    """Put a batch into the ledger. One that the relay did not send is kept apart: the true events are in the outbox."""
    here = desk(ROLE)
    try:
        _store_patiently(here, unpack(here.keys, rows, mac))
    except Forged:
        log.error("batch refused", events=len(rows))
        here.run(quarantine(here.database, "forged", len(rows), orjson.dumps([rows, mac])))


@shared_task(name="audit.revive")  # type: ignore[untyped-decorator]
def revive() -> None:
    """Store again what was dead-lettered while the database was away. A batch that fails once more stays dead."""
    with current_app.connection_for_read() as connection:
        channel = connection.default_channel
        while message := channel.basic_get(DEAD, no_ack=False):
            store_batch(*_arguments(message))
            channel.basic_ack(message.delivery_tag)


@shared_task(name="audit.reconcile")  # type: ignore[untyped-decorator]
def reconcile_numbers() -> None:
    """Look for numbers of producers that are missing."""
    here = desk(READER)
    here.run(reconcile(here.database))


@shared_task(name="audit.months")  # type: ignore[untyped-decorator]
def add_months() -> None:
    """Make the ledger's partitions of the coming months."""
    here = desk(sealer.ROLE)
    here.run(_execute(here, MONTHS))


async def _execute(here: Desk, statement: str) -> None:
    async with here.database.bare() as connection:
        await connection.execute(statement)


def _arguments(message: Any) -> Any:
    try:
        (rows, mac), *_ = orjson.loads(message.body)
    except ValueError:
        return [[], ""]
    return rows, mac


@cache
def _known(here: Desk) -> Producers:
    """Return the producers that this process has met, kept from batch to batch."""
    return Producers(here.keys)


def _store_patiently(here: Desk, batch: list[Sent]) -> None:
    known = _known(here)
    for pause in PATIENCE:
        with suppress(Unavailable):
            here.run(accept(here.database, known, batch))
            return
        time.sleep(pause)
    here.run(accept(here.database, known, batch))
