"""The Celery tasks around the ledger: batches into it, dead letters back to it, missing numbers, coming months."""

import time
from contextlib import suppress
from typing import Any

import orjson
import structlog
from celery import current_app, shared_task

from core.broker import DEAD
from core.desk import Desk, desk
from core.errors import Unavailable
from records.audit import sealer
from records.audit.batch import TASK, Forged, unpack
from records.audit.ledger import ROLE, Malformed, quarantine, store
from records.audit.numbers import reconcile

PATIENCE = (0.5, 1, 2, 4, 8, 15, 30, 30, 30)
"""Seconds between tries while the database is away: two minutes, then the batch is dead-lettered."""
READER = "confide_app"
MONTHS = "SELECT audit.add_partitions(now(), now() + interval '12 months')"

log = structlog.get_logger()


@shared_task(name=TASK)  # type: ignore[untyped-decorator]
def store_batch(texts: list[str], mac: str) -> None:
    """Put a batch into the ledger. A forged or malformed one is kept apart: the true ones are in the outbox."""
    here = desk(ROLE)
    try:
        _store_patiently(here, unpack(here.keys, texts, mac))
    except (Forged, Malformed, ValueError, TypeError, AttributeError) as error:
        fault = type(error).__name__.lower()
        log.error("batch refused", events=len(texts), error=fault)
        here.run(quarantine(here.database, fault, len(texts), orjson.dumps([texts, mac])))


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
        (texts, mac), *_ = orjson.loads(message.body)
    except ValueError:
        return [[], ""]
    return texts, mac


def _store_patiently(here: Desk, bodies: list[bytes]) -> None:
    for pause in PATIENCE:
        with suppress(Unavailable):
            here.run(store(here.database, bodies))
            return
        time.sleep(pause)
    here.run(store(here.database, bodies))
