"""Celery's consumer without native delayed delivery: it would declare 28 quorum queues that nothing here uses."""

import gc
from typing import Any, Final

from celery.worker.consumer import Consumer as CeleryConsumer

_UNUSED: Final = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """A consumer whose tasks run now: no message of ours carries a countdown or an ETA."""

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]
        """The steps of the consumer but one."""

        default_steps: Final = [s for s in CeleryConsumer.Blueprint.default_steps if s != _UNUSED]

    def connect(self) -> Any:
        """Connect, and let go of the connection before: it hangs in cycles, with its buffers, and few objects are made here."""
        gc.collect()
        return super().connect()
