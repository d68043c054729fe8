"""Celery's consumer without native delayed delivery: it would declare 28 quorum queues that nothing here uses."""

from typing import Final

from celery.worker.consumer import Consumer as CeleryConsumer

_UNUSED: Final = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """A consumer whose tasks run now: no message of ours carries a countdown or an ETA."""

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]
        """The steps of the consumer but one."""

        default_steps: Final = [s for s in CeleryConsumer.Blueprint.default_steps if s != _UNUSED]
