"""The Celery task behind the ledger."""

import time
from contextlib import suppress

import structlog
from celery import shared_task

from core.desk import Desk, desk
from core.errors import Unavailable
from records.audit.batch import TASK, Forged, unpack
from records.audit.ledger import ROLE, Malformed, store

PATIENCE = (0.5, 1, 2, 4, 8, 15, 30, 30, 30)
"""Seconds between tries while the database is away: two minutes, then the batch is dead-lettered."""

log = structlog.get_logger()


@shared_task(name=TASK)  # type: ignore[untyped-decorator]
def store_batch(texts: list[str], mac: str) -> None:
    """Put a batch into the ledger. A forged or malformed one is dropped: the true ones are in the outbox."""
    here = desk(ROLE)
    try:
        _store_patiently(here, unpack(here.keys, texts, mac))
    except (Forged, Malformed) as error:
        log.error("batch refused", events=len(texts), error=type(error).__name__)


def _store_patiently(here: Desk, bodies: list[bytes]) -> None:
    for pause in PATIENCE:
        with suppress(Unavailable):
            here.run(store(here.database, bodies))
            return
        time.sleep(pause)
    here.run(store(here.database, bodies))
