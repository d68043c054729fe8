"""The one place that asks what time it is; tests freeze it with time-machine or by passing `at`."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return this moment, aware, in UTC."""
    return datetime.now(UTC)
