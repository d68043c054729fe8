"""The relay: takes events from the outbox, oldest first, and sends them to the ledger's worker over RabbitMQ.

It sends, and does not delete: an outbox row leaves in the transaction that puts the event into the ledger. What was sent and
did not arrive (broker killed, worker killed, message lost) is sent again. So the broker may lose, delay or
repeat messages, and nothing is lost. It polls: a NOTIFY inside the transaction would make all commits queue
for one lock, and looking at an empty partial index five times a second costs nothing that can be measured.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog
from amqp.exceptions import AMQPError, MessageNacked
from celery import Celery
from kombu.exceptions import KombuError, OperationalError

from core import tracing
from core.broker import TRAIL, celery_app, declare
from core.crypto.kek import KekProvider
from core.crypto.keyring import open_provider
from core.database import Database
from core.errors import Unavailable
from core.settings import Settings
from records.audit.batch import TASK, Sent, pack

ROLE: Final = "confide_relay"
BATCH: Final = 500
AT_ONCE: Final = 2
"""Batches under way at once while more wait: one is taken while the broker and the disk are waited for with the other."""
POLL: Final = 0.2
"""Seconds between looks at an empty outbox."""
AGAIN: Final = "30 seconds"
"""What was sent this long ago and is still in the outbox is sent again."""
PAUSE: Final = 1.0
"""Seconds to wait when the broker or the database is away."""

_AWAY: Final = (AMQPError, MessageNacked, KombuError, OperationalError, OSError, Unavailable)
"""What is waited for: a broker or database that is away, a queue that is gone or full."""
# Two looks along `sent_at`: one look for either would walk past all that is on its way, and so would a look for the lowest
# ids alone, which the planner takes for as cheap.
_TAKE: Final = f"""
WITH lost AS (
  SELECT event_id FROM audit.outbox WHERE sent_at < now() - interval '{AGAIN}'
  ORDER BY sent_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED),
fresh AS (
  SELECT event_id FROM audit.outbox WHERE sent_at IS NULL
  ORDER BY sent_at, event_id LIMIT {BATCH} FOR UPDATE SKIP LOCKED),
due AS (SELECT event_id FROM lost UNION ALL SELECT event_id FROM fresh LIMIT {BATCH})
UPDATE audit.outbox SET sent_at = now() WHERE event_id IN (SELECT event_id FROM due)
RETURNING event_id::text, body, seal
"""  # noqa: S608 - two constants

_SENDING: Final = {
    "messaging__system": "rabbitmq",
    "messaging__operation__type": "send",
    "messaging__destination__name": TRAIL,
}

_REQUEST: Final = re.compile(rb'"request_id":"([0-9a-f-]{36})"')

log = structlog.get_logger()


class Relay:
    """One relay; several may run, since each takes rows that no other holds."""

    def __init__(self, database: Database, app: Celery, keys: KekProvider) -> None:
        self._database = database
        self._app = app
        self._keys = keys

    async def run(self) -> None:
        """Relay until cancelled; a broker or database that is away is waited for."""
        declared, many = False, 1
        while True:
            try:
                if not declared:
                    await asyncio.to_thread(declare, self._app)
                    declared = True
                full = await self._send(many)
                many = AT_ONCE if full else 1
                await asyncio.sleep(0 if full else POLL)
            except _AWAY as error:
                declared = False  # the queue itself may be what is gone
                log.warning("relay waits", error=type(error).__name__)
                await asyncio.sleep(PAUSE)

    async def _send(self, many: int) -> bool:
        """Send so many batches at once; tell whether each was full, so that more may wait."""
        sent = await asyncio.gather(*(self.once() for _ in range(many)), return_exceptions=True)
        if failed := [each for each in sent if isinstance(each, BaseException)]:
            raise failed[0]
        return sent.count(BATCH) == many

    async def once(self) -> int:
        """Send one batch; return how many events were in it. They stay marked only if it was confirmed."""
        async with self._database.bare() as connection, connection.transaction():
            batch = [Sent(*row) for row in await connection.fetch(_TAKE)]
            if batch:
                with tracing.span(f"send {TRAIL}", "PRODUCER", **_SENDING) as span:
                    if span is not None:
                        span.set_attribute("confide.request_ids", _requests(batch))
                    await asyncio.to_thread(self._publish, batch)
        return len(batch)

    def _publish(self, batch: Sequence[Sent]) -> None:
        self._app.send_task(
            TASK,
            args=pack(self._keys, batch),
            queue=TRAIL,
            headers=tracing.headers(),
            mandatory=True,
            argsrepr="-",
            kwargsrepr="-",
        )


def _requests(batch: Sequence[Sent]) -> list[str]:
    """Return whose events these are: by the id of a request one finds its own trace and those its events went by."""
    found = (_REQUEST.search(sent.body) for sent in batch)
    return sorted({each[1].decode() for each in found if each})


async def serve_relay(chosen: Settings) -> None:
    """Run a relay with the settings of this process, until it is stopped."""
    database = Database(chosen.postgres_url, role=ROLE, size=AT_ONCE)
    app = celery_app(chosen.broker_url.get_secret_value(), chosen.home)
    while True:
        with suppress(Unavailable):
            await database.open()
            break
        await asyncio.sleep(PAUSE)
    await Relay(database, app, open_provider(chosen.kms)).run()
