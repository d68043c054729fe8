"""The one place that asks what time it is, and which day it is at the clinic; tests freeze it with time-machine or by passing `at`."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from core.settings import settings


def now() -> datetime:
    """Return this moment, aware, in UTC."""
    return datetime.now(UTC)


def day_of(at: datetime) -> date:
    """Return the clinic's day of a moment."""
    return at.astimezone(ZoneInfo(settings().time_zone)).date()


def today() -> date:
    """Return the clinic's day of this moment."""
    return day_of(now())
