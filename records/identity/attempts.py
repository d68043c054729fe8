"""Tries to log in, counted for each account and network, whether or not there is such an account."""

from collections import OrderedDict
from math import ceil
from time import monotonic
from typing import Final

from core.errors import Throttled

FREE: Final = 10
"""Tries in a window; counted before the password is looked at, so that parallel ones count too."""
WINDOW: Final = 60.0
"""Seconds, from the first try on."""
KEPT: Final = 50_000
"""Counters kept; the oldest goes first."""


class Attempts:
    """The counters of one process."""

    def __init__(self) -> None:
        self._tries: OrderedDict[tuple[bytes, str], tuple[float, int]] = OrderedDict()

    def count(self, login: bytes, network: str) -> None:
        """Count a try; raise Throttled, with `retry_after` in seconds, when there were too many."""
        key, at = (login, network), monotonic()
        since, tries = self._tries.get(key, (at, 0))
        if at - since >= WINDOW:
            since, tries = at, 0
        if tries >= FREE:
            wait = ceil(since + WINDOW - at)
            raise Throttled("too many tries to log in", retry_after=wait)
        self._tries[key] = since, tries + 1
        if len(self._tries) > KEPT:
            self._tries.popitem(last=False)

    def forget(self, login: bytes, network: str) -> None:
        """Start anew after a login that was right."""
        self._tries.pop((login, network), None)


attempts: Final = Attempts()
"""This process's. Keys are blind-index tokens: they say nothing, and differ between databases."""
