"""Logs: one JSON object a line on standard error. Ids and codes only; there is no way to log an exception's text."""

import logging
import sys
from typing import Any

import structlog

_QUIET = (
    "uvicorn.access",
    "casbin",
    "celery.worker.strategy",
    "celery.app.trace",
    "asyncio",
    "httpx",
)


def configure(level: str = "INFO") -> None:
    """Set up structlog, and silence the libraries that print arguments or request lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Brief("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _refuse_exceptions,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


class _Brief(logging.Formatter):
    """Libraries' log lines, with the kind of an exception in place of its text and traceback."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        """Return the exception's class: its text may hold PHI."""
        return f"({ei[0].__name__})"


def _refuse_exceptions(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Drop tracebacks: their locals and messages may hold PHI. The error's class is logged by name."""
    event.pop("exc_info", None)
    return event
