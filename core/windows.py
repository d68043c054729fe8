"""Counters by key in windows of time: for limits on tries and on requests, of one process, in constant time and room.

Limits are written as the `limits` library reads them (`300/minute`). Its in-memory storage is not used: while requests
come in, it starts a thread every ten milliseconds that walks through every counter there is.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from math import ceil
from time import monotonic
from typing import Final

import limits

KEPT: Final = 50_000
"""Counters kept; the oldest goes first."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many in so many seconds."""

    amount: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a key stands in its window. `resets` is in whole seconds from now."""

    limit: Limit
    left: int
    resets: int

    @property
    def over(self) -> bool:
        """Whether the last one was too many."""
        return self.left < 0


class Windows:
    """The counters of one process. A window begins with the first hit after the one before has ended."""

    def __init__(self) -> None:
        self._counts: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def hit(self, key: Hashable, limit: Limit) -> Standing:
        """Count one, before it is known what becomes of it, so that parallel ones are counted too."""
        since, count, at = self._window(key, limit)
        if count <= limit.amount:
            self._counts[key] = since, count + 1
            if len(self._counts) > KEPT:
                self._counts.popitem(last=False)
        return _standing(limit, since, count + 1, at)

    def look(self, key: Hashable, limit: Limit) -> Standing:
        """Tell where the next hit would stand, and count nothing."""
        since, count, at = self._window(key, limit)
        return _standing(limit, since, count + 1, at)

    def learn(self, key: Hashable, standing: Standing) -> None:
        """Take over where a key stands from where it is counted for all processes."""
        since = monotonic() + standing.resets - standing.limit.seconds
        self._counts[key] = since, standing.limit.amount - standing.left
        if len(self._counts) > KEPT:
            self._counts.popitem(last=False)

    def _window(self, key: Hashable, limit: Limit) -> tuple[float, int, float]:
        at = monotonic()
        since, count = self._counts.get(key, (at, 0))
        return (at, 0, at) if at - since >= limit.seconds else (since, count, at)


def _standing(limit: Limit, since: float, count: int, at: float) -> Standing:
    return Standing(limit, limit.amount - count, ceil(since + limit.seconds - at))


@cache
def limit(text: str) -> Limit:
    """Read `30/minute`; ValueError for what is no limit."""
    item = limits.parse(text)
    return Limit(item.amount, item.get_expiry())
