"""Key sets that clients publish (`jwks_uri`): fetched when an assertion comes, and kept for a while by each process."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import orjson

from core.crypto.assertions import usable
from core.fetching import NotFetched, Reach, fetch

FRESH: Final = 300.0
"""Seconds that a set is used without a look at its address."""
STALE: Final = 3600.0
"""Seconds that it is used while its address does not answer."""
PAUSE: Final = 30.0
"""Seconds between two looks: assertions are sent by anybody, and must not send us anywhere too often."""


@dataclass(slots=True)
class _Known:
    keys: Mapping[str, Any] | None = None
    fetched: float = -STALE
    asked: float = -STALE


_known: Final = defaultdict[str, _Known](_Known)
_locks: Final = defaultdict[str, asyncio.Lock](asyncio.Lock)


async def key_set(uri: str, kid: str, reach: Reach) -> Mapping[str, Any] | None:
    """Return the key set of a client; it is fetched anew when it is old, or does not hold the key that is asked for."""
    async with _locks[uri]:
        known, at = _known[uri], monotonic()
        wanted = at - known.fetched > FRESH or not _holds(known.keys, kid)
        if wanted and at - known.asked > PAUSE:
            known.asked = at
            with suppress(NotFetched, ValueError):
                known.keys, known.fetched = usable(orjson.loads(await fetch(uri, reach))), at
        return known.keys if at - known.fetched <= STALE else None


def forget(uri: str) -> None:
    """Fetch anew next time."""
    _known.pop(uri, None)


def _holds(keys: Mapping[str, Any] | None, kid: str) -> bool:
    return keys is not None and any(key.get("kid") == kid for key in keys["keys"])
