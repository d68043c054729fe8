"""A web request as Authlib's protocol code wants it: parsed beforehand, and inside one transaction."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

import anyio.from_thread
from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Payload, OAuth2Request
from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import ImmutableMultiDict

from api import deps
from api.oauth.progress import Progress
from core.fetching import Reach
from core.settings import Settings
from records.audit.event import Origin
from records.clinic import Clinic
from records.identity.tokens import Tokens

P = ParamSpec("P")
T = TypeVar("T")

_ECHOED: Final = ("client_id", "response_type", "grant_type", "redirect_uri", "scope", "prompt")


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a request is answered. `session` is None while nothing may be written."""

    clinic: Clinic
    tokens: Tokens
    origin: Origin
    reach: Reach
    session: AsyncSession | None = None

    @property
    def writing(self) -> AsyncSession:
        """The transaction, where there must be one."""
        assert self.session is not None
        return self.session


class Payload(OAuth2Payload):  # type: ignore[misc]
    """Parameters, each once."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    @property
    def data(self) -> Mapping[str, str]:
        """The parameters."""
        return self._given

    @property
    def datalist(self) -> Mapping[str, list[str]]:
        """The parameters, as Authlib looks for repeated ones; `parameters` has refused these."""
        return {name: [value] for name, value in self._given.items()}


class WebRequest(OAuth2Request):  # type: ignore[misc]
    """The request, its parameters, and where it is answered."""

    def __init__(self, request: Request, given: Mapping[str, str], setting: Setting) -> None:
        # The issuer, not the URL as it arrived: TLS may end at a proxy.
        uri = f"{setting.tokens.issuer}{request.url.path}"
        super().__init__(request.method, uri, headers=request.headers)
        self.payload = Payload(given)
        self.setting = setting
        self.progress: Progress

    @property
    def args(self) -> Mapping[str, str]:
        """The parameters."""
        return self.payload.data

    @property
    def form(self) -> Mapping[str, str]:
        """The parameters, wherever they came in."""
        return self.payload.data


async def parameters(request: Request, *, query: bool = False) -> dict[str, str]:
    """Return the form's parameters, on top of the query's where these count.

    Raises InvalidRequestError for a repeated one (RFC 6749 §3.1) and for one that Authlib would echo
    although it holds what an error description must not, or that no database keeps.
    """
    given = _once(request.query_params) if query else {}
    if request.method == "POST":
        given |= _once(await request.form())
    kept = all("\0" not in value for value in given.values())
    if not (kept and all(_plain(given.get(name, "")) for name in _ECHOED)):
        raise InvalidRequestError("A parameter holds a character that it must not.")
    return given


def _once(source: ImmutableMultiDict[str, Any]) -> dict[str, str]:
    pairs = source.multi_items()
    if len({name for name, _ in pairs}) != len(pairs):
        raise InvalidRequestError("A parameter is repeated.")
    return {name: value for name, value in pairs if isinstance(value, str) and value}


def setting(request: Request, session: AsyncSession | None = None, client: str = "") -> Setting:
    """Return where a request is answered."""
    state: Any = request.app.state
    chosen: Settings = state.settings
    reach = Reach(private=chosen.fetch_private, plain=chosen.development)
    return Setting(state.clinic, deps.tokens(request), deps.origin(request, client), reach, session)


def wait(function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a coroutine function in the event loop, from the thread that Authlib runs in."""

    async def run() -> T:
        return await function(*args, **kwargs)

    return anyio.from_thread.run(run)


def _plain(value: str) -> bool:
    return all(" " <= sign <= "~" and sign not in '"\\' for sign in value)
