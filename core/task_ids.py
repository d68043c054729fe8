"""What a worker process says of its tasks: their ids in its log lines, and a span around each where traces are sent."""

from typing import Any, Final

from celery import signals, states

from core import logging, tracing

_open: Final[dict[str, Any]] = {}
"""The spans of the tasks under way, by task id."""


def watch(endpoint: str, process: str) -> None:
    """Watch the tasks of this process and of those it forks; each of them sends its own spans."""
    signals.task_prerun.connect(_begin, weak=False)
    signals.task_postrun.connect(_end, weak=False)
    if endpoint:
        signals.worker_process_init.connect(
            lambda **_: tracing.start(endpoint, process), weak=False
        )
        signals.worker_process_shutdown.connect(lambda **_: tracing.stop(), weak=False)


def _begin(task_id: str, task: Any, **_: Any) -> None:
    logging.AT_WORK.set({"task": task.name, "task_id": task_id})
    parent = getattr(task.request, tracing.HEADER, None)
    span = tracing.span(
        f"process {task.name}",
        "CONSUMER",
        parent,
        messaging__system="celery",
        messaging__operation__type="process",
        messaging__message__id=task_id,
    )
    _open[task_id] = span, span.__enter__()


def _end(task_id: str, state: str, **_: Any) -> None:
    logging.AT_WORK.set({})
    span, made = _open.pop(task_id)
    if made is not None and state != states.SUCCESS:
        made.set_attribute("error.type", state)
    span.__exit__(None, None, None)
