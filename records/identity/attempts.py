"""Tries to log in, counted whether or not there is such an account: by account and network, by each alone.

The second keeps a crowd of addresses from guessing at one account; the third, one address from trying many.
"""

from typing import Final

from core.errors import Throttled
from core.windows import Limit, Windows

NEAR: Final = Limit(10, 60)
"""At one account from one network."""
ACCOUNT: Final = Limit(1000, 3600)
"""At one account from everywhere: few enough for guessing, too many to lock somebody out by the way."""
NETWORK: Final = Limit(300, 60)
"""At all accounts from one network: a clinic's whole staff comes from one."""


class Attempts:
    """The counters of one process."""

    def __init__(self) -> None:
        self._windows = Windows()

    def count(self, login: bytes, network: str) -> None:
        """Count a try; raise Throttled, with `retry_after` in seconds, when there were too many."""
        for key, limit in ((login, network), NEAR), (login, ACCOUNT), (network, NETWORK):
            standing = self._windows.hit(key, limit)
            if standing.over:
                raise Throttled("too many tries to log in", retry_after=standing.resets)

    def forget(self, login: bytes, network: str) -> None:
        """Start anew after a login that was right."""
        self._windows.forget((login, network))


attempts: Final = Attempts()
"""This process's. Keys are blind-index tokens: they say nothing, and differ between databases."""
