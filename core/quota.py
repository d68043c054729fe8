"""How often somebody may do a thing: counted in this process, over the last moments (`limits`)."""

from math import ceil
from time import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from core.errors import Throttled


class Quota:
    """So many acts in any stretch of time, `"30/minute"` say, for each who."""

    def __init__(self, rate: str) -> None:
        self._rate: RateLimitItem = parse(rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def take(self, *who: str) -> None:
        """Count one act; raise Throttled, with `retry_after` in seconds, when there were too many."""
        if not self._limiter.hit(self._rate, *who):
            free_at = self._limiter.get_window_stats(self._rate, *who).reset_time
            wait = max(1, ceil(free_at - time()))
            raise Throttled(f"at most {self._rate} of these", retry_after=wait)
