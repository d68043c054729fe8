"""RabbitMQ through Celery: the app, its queues, and the settings under which no message is lost unseen.

Each setting was measured (docs/adr/0003-outbox-first.md): without publisher confirms a killed broker loses what it
reported as sent; with confirms alone an unroutable message is acknowledged; with acks_late alone a raising task is gone.
"""

from pathlib import Path
from typing import Any, Final

from celery import Celery
from kombu.entity import Exchange, Queue

TRAIL: Final = "audit.batches"
"""The queue from the outbox to the ledger."""
MOST: Final = 500
"""Batches in it at most, about: then the relay is refused, and the outbox waits. Else a dead worker would fill the broker's disk."""
DEAD: Final = "audit.dead"
"""Where batches go that could not be stored: they are in the outbox still."""
CHORES: Final = "clinic.chores"
"""The queue of periodic work: a message there is a wake-up, what is to do stands in the database."""

_ONCE_MORE: Final = {"max_retries": 1, "interval_start": 0, "interval_max": 0}
_SECONDS: Final = 2
_TRANSPORT: Final = {
    "confirm_publish": True,
    "read_timeout": _SECONDS,
    "write_timeout": _SECONDS,
    "max_retries": 0,
}


def celery_app(url: str, home: Path) -> Celery:
    """Return the Celery app for a broker; a `filesystem://` one keeps its messages under `home`."""
    app = Celery("confide", broker=url)
    app.conf.update(_settings(), broker_transport_options=_transport(url, home))
    return app


def every(seconds: float, task: str) -> dict[str, Any]:
    """Return the beat entry that wakes a chore every so often; wake-ups nobody heard do not pile up.

    The beat keeps its connection: only a publish that may be tried again makes it a new one when the broker has been away.
    """
    options = {"queue": CHORES, "expires": seconds, "argsrepr": "-", "kwargsrepr": "-"}
    options |= {"retry": True, "retry_policy": _ONCE_MORE}
    return {"task": task, "schedule": seconds, "options": options}


def declare(app: Celery) -> None:
    """Make the queues, where they are not there yet; the one for dead letters has no consumer."""
    with app.connection_for_write() as connection:
        for queue in app.conf.task_queues:
            queue(connection.default_channel).declare()


def _settings() -> dict[str, Any]:
    return {
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_send_sent_event": False,
        "worker_send_task_events": False,
        # An exclusive one, the default, ends a second worker of one machine, and one whose lost connection the broker has not missed.
        "control_queue_exclusive": False,
        "control_queue_durable": True,
        "task_queues": _queues(),
        "task_default_queue": TRAIL,
        "task_create_missing_queues": False,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure_or_timeout": False,
        "task_acks_on_failure": False,
        "worker_prefetch_multiplier": 2,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_soft_shutdown_timeout": 30.0,
        "worker_hijack_root_logger": False,
        "worker_consumer": "core.consumer:Consumer",
        "broker_connection_retry_on_startup": True,
        "broker_connection_timeout": _SECONDS,
        "task_publish_retry": False,
    }


def _queues() -> list[Queue]:
    dead = Exchange(DEAD, type="direct", durable=True)
    quorum = {"x-queue-type": "quorum"}
    to_the_dead = {
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-routing-key": DEAD,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-delivery-limit": 50,
        "x-max-length": MOST,
    }
    trail = Exchange(TRAIL, type="direct", durable=True)
    chores = Exchange(CHORES, type="direct", durable=True)
    return [
        Queue(CHORES, chores, routing_key=CHORES, queue_arguments=quorum),
        Queue(TRAIL, trail, routing_key=TRAIL, queue_arguments=quorum | to_the_dead),
        Queue(DEAD, dead, routing_key=DEAD, queue_arguments=quorum),
    ]


def _transport(url: str, home: Path) -> dict[str, Any]:
    if not url.startswith("filesystem"):
        return _TRANSPORT
    folder = str(home / "messages")
    Path(folder).mkdir(parents=True, exist_ok=True)
    return {"data_folder_in": folder, "data_folder_out": folder, "polling_interval": 0.05}
