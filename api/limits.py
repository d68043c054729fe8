"""How much one caller may ask, said in the answers (draft-ietf-httpapi-ratelimit-headers).

Requests are counted by each process, which allows its share of them: that costs no round trip. Besides, two things are
counted that nobody needs much of and that enumeration is made of: searches for patients, and answers that there is no
such thing. All processes count these together, in the database; where somebody stood when they last missed, a process
keeps in mind.
"""

from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from starlette.types import Scope

from core.database import Database
from core.errors import Throttled, Unavailable
from core.settings import Settings
from core.windows import Limit, Standing, Windows, limit
from records.identity import tallies

SEARCHES: Final = frozenset({"/v1/patients/search"})
_STATE: Final = "confide.limits"
COUNTED: Final = "confide.account"
"""Where a request says whose it is."""


class Limits:
    """The limits of one application, and where everybody stands."""

    def __init__(self, chosen: Settings) -> None:
        self._windows = Windows()
        self._caller = _share(limit(chosen.caller_limit), chosen.api_processes)
        self._search = limit(chosen.search_limit)
        self._miss = limit(chosen.miss_limit)
        self._client = _share(limit(chosen.token_limit), chosen.api_processes)

    def caller(self, scope: Scope, account: UUID) -> None:
        """Count a request of somebody; raise Throttled, with `retry_after`, when there were too many."""
        scope[_STATE] = found = [("caller", self._windows.hit(account, self._caller))]
        missed = self._windows.look((account, "miss"), self._miss)
        if missed.over:
            found.append(("miss", missed))
        scope[COUNTED] = account
        _refuse(found)

    async def search(self, database: Database, scope: Scope, account: UUID) -> None:
        """Count a search of somebody, besides the request that it is."""
        scope[_STATE].append(
            ("search", await _together(database, b"search", account, self._search))
        )
        _refuse(scope[_STATE])

    async def missed(self, database: Database, scope: Scope) -> None:
        """Count an answer that there is no such thing: the same whether it is hidden or absent."""
        account: UUID = scope[COUNTED]
        with suppress(Unavailable):  # the answer stands, counted or not
            standing = await _together(database, b"miss", account, self._miss)
            self._windows.learn((account, "miss"), standing)

    def client(self, scope: Scope, network: str, client_id: str) -> None:
        """Count a request to the token endpoint, of one client from one network."""
        key = client_id, network
        scope[_STATE] = found = [("token", self._windows.hit(key, self._client))]
        _refuse(found)


async def _together(database: Database, what: bytes, account: UUID, of_it: Limit) -> Standing:
    """Count one for all processes."""
    counted = tallies.key(what, account.bytes)
    return (await tallies.hit(database, {counted: of_it}))[counted]


def _share(whole: Limit, processes: int) -> Limit:
    return Limit(max(1, whole.amount // processes), whole.seconds)


def headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return what an answer says of the limits that applied to it."""
    found: list[tuple[str, Standing]] | None = scope.get(_STATE)
    if not found:
        return []
    policies = ", ".join(f'"{n}";q={s.limit.amount};w={s.limit.seconds}' for n, s in found)
    standings = ", ".join(f'"{n}";r={max(s.left, 0)};t={s.resets}' for n, s in found)
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", standings.encode())]


def of(state: Any) -> Limits:
    """Return the limits of an application, made at their first use."""
    if not hasattr(state, "limits"):
        state.limits = Limits(state.settings)
    found: Limits = state.limits
    return found


def _refuse(found: list[tuple[str, Standing]]) -> None:
    over = [standing.resets for _, standing in found if standing.over]
    if over:
        raise Throttled("too many requests", retry_after=max(over))
