"""Logs: one JSON object a line on standard error. Ids and codes only; there is no way to log an exception's text."""

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

import structlog

from core import tracing

_QUIET = (
    "uvicorn.access",
    "casbin",
    "celery.worker.strategy",
    "celery.app.trace",
    "asyncio",
    "httpx",
)
AT_WORK: Final[ContextVar[Mapping[str, str]]] = ContextVar("at_work", default={})  # noqa: B039 - never changed
"""The ids that every line has which is written meanwhile: of the request, or of the task."""
_process: dict[str, str] = {}


def configure(level: str = "INFO", process: str = "") -> None:
    """Set up structlog, and silence the libraries that print arguments or request lines."""
    if process:
        _process["process"] = process
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Brief())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            *_SHARED,
            _refuse_exceptions,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


class _Brief(logging.Formatter):
    """Libraries' log lines in the form of ours, with the kind of an exception in place of its text and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a line of JSON."""
        event = {"event": record.getMessage(), "level": record.levelname.lower()}
        event["logger"] = record.name
        if record.exc_info and record.exc_info[0]:
            event["error"] = record.exc_info[0].__name__
        for processor in _SHARED:
            event = processor(None, "", event)
        return str(structlog.processors.JSONRenderer()(None, "", event))


def _with_ids(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Add which process says it, and about which request, task and trace."""
    event.update(_process, **AT_WORK.get())
    if trace := tracing.trace_id():
        event["trace_id"] = trace
    return event


def _refuse_exceptions(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Drop tracebacks: their locals and messages may hold PHI. The error's class is logged by name."""
    event.pop("exc_info", None)
    return event


_SHARED: Final[tuple[Any, ...]] = (
    _with_ids,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
