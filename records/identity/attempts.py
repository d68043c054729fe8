"""Tries to log in, counted whether or not there is such an account: by account and network, by each alone.

The second keeps a crowd of addresses from guessing at one account; the third, one address from trying many. All
processes count together.
"""

from typing import Final

from core.database import Database
from core.errors import Throttled
from core.windows import Limit
from records.identity import tallies

NEAR: Final = Limit(10, 60)
"""At one account from one network."""
ACCOUNT: Final = Limit(1000, 3600)
"""At one account from everywhere: few enough for guessing, too many to lock somebody out by the way."""
NETWORK: Final = Limit(300, 60)
"""At all accounts from one network: a clinic's whole staff comes from one."""


async def count(database: Database, login: bytes, network: str) -> None:
    """Count a try; raise Throttled, with `retry_after` in seconds, when there were too many.

    Who is stopped near by counts no further: one network does not use up an account's tries of everybody.
    """
    await _hit(database, {_near(login, network): NEAR})
    wide = {tallies.key(b"account", login): ACCOUNT}
    await _hit(database, wide | {tallies.key(b"network", network.encode()): NETWORK})


async def forget(database: Database, login: bytes, network: str) -> None:
    """Start anew after a login that was right."""
    await tallies.forget(database, _near(login, network))


async def _hit(database: Database, limits: dict[bytes, Limit]) -> None:
    found = await tallies.hit(database, limits)
    over = [standing.resets for standing in found.values() if standing.over]
    if over:
        raise Throttled("too many tries to log in", retry_after=max(over))


def _near(login: bytes, network: str) -> bytes:
    return tallies.key(b"near", login, network.encode())
