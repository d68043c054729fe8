"""How much one caller may ask, said in the answers (draft-ietf-httpapi-ratelimit-headers): of one process.

Besides the requests of each caller, two things are counted that nobody needs much of and that enumeration is made of:
searches for patients, and answers that there is no such thing.
"""

from typing import Any, Final
from uuid import UUID

from starlette.types import Scope

from core.errors import Throttled
from core.settings import Settings
from core.windows import Standing, Windows, limit

SEARCHES: Final = frozenset({"/v1/patients/search"})
_STATE: Final = "confide.limits"


class Limits:
    """The limits of one application, and where everybody stands."""

    def __init__(self, chosen: Settings) -> None:
        self._windows = Windows()
        self._caller = limit(chosen.caller_limit)
        self._search = limit(chosen.search_limit)
        self._miss = limit(chosen.miss_limit)
        self._client = limit(chosen.token_limit)

    def caller(self, scope: Scope, account: UUID) -> None:
        """Count a request of somebody; raise Throttled, with `retry_after`, when there were too many."""
        scope[_STATE] = found = [("caller", self._windows.hit(account, self._caller))]
        if scope["path"] in SEARCHES:
            found.append(("search", self._windows.hit((account, "search"), self._search)))
        missed = self._windows.look((account, "miss"), self._miss)
        if missed.over:
            found.append(("miss", missed))
        scope["confide.account"] = account
        _refuse(found)

    def missed(self, scope: Scope) -> None:
        """Count an answer that there is no such thing."""
        account = scope.get("confide.account")
        if account:
            self._windows.hit((account, "miss"), self._miss)

    def client(self, scope: Scope, network: str, client_id: str) -> None:
        """Count a request to the token endpoint, of one client from one network."""
        key = client_id, network
        scope[_STATE] = found = [("token", self._windows.hit(key, self._client))]
        _refuse(found)


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
