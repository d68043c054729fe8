"""Around every request: an id, a limit on its body, security headers, and counters."""

import re
from functools import lru_cache
from time import perf_counter
from typing import Final

from prometheus_client import Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import limits
from api.depth import DEEPEST, Depth
from api.errors import unforeseen
from api.etags import not_modified, unchanged
from core.errors import BadRequest
from core.ids import new_id
from core.logging import AT_WORK

Pair = tuple[bytes, bytes]

MISSING: Final = 404
OURS: Final = 500
BODY_LIMIT: Final = 1 << 20
"""Bytes of a request body at most. An upload is bounded by its own route, which streams it."""
_UPLOAD: Final = re.compile(r"/v1/(records/[^/]+/attachments|patients/[^/]+/coverages/[^/]+/cards)")

_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""What an answer says where its route says nothing else."""
_REQUESTS: Final = Counter("confide_requests", "Requests answered", ["method", "route", "status"])
_SECONDS: Final = Histogram("confide_request_seconds", "Seconds to answer", ["route"])


class Envelope:
    """The one middleware. Pure ASGI: it adds no task and no copy of the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request through, with an id in and headers out."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        scope["request_id"] = request_id = str(new_id())
        AT_WORK.set({"request_id": request_id})
        began, status = perf_counter(), 0
        silent = scope["method"] == "HEAD"
        if silent:  # a GET whose body is not sent
            scope = {**scope, "method": "GET"}

        async def sending(message: Message) -> None:
            nonlocal status, silent
            if silent and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                if unchanged(scope, message):
                    silent, message = True, not_modified(message)
                status = message["status"]
                message["headers"] = _headers(scope, status, message["headers"])
                if status == MISSING and limits.COUNTED in scope:
                    state = scope["app"].state
                    await limits.of(state).missed(state.clinic.database, scope)
            await send(message)

        try:
            await self._app(scope, _bounded(scope, receive), sending)
        except Exception as error:
            answer = unforeseen(Request(scope), error)
            if status:  # too late: the answer that was under way is cut off
                raise
            await answer(scope, receive, sending)
        finally:
            _count(scope, status or OURS, perf_counter() - began)


def _headers(scope: Scope, status: int, given: list[Pair]) -> list[Pair]:
    """Return an answer's headers: as pairs of bytes, since Starlette's way with text costs as much as a decision."""
    names = {name for name, _ in given}
    headers = [*given, (b"x-request-id", scope["request_id"].encode())]
    if status != MISSING:  # what is hidden and what is absent answer alike, to the letter
        headers += limits.headers(scope)
    headers += [pair for pair in _SECURITY if pair[0] not in names]
    return headers


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Refuse a body past the limits while it arrives, whatever Content-Length says: too large, nested too deep."""
    if scope["method"] == "POST" and _UPLOAD.fullmatch(scope["path"]):
        return receive
    size, depth = 0, Depth() if _may_be_json(scope) else None

    async def receiving() -> Message:
        nonlocal size
        message = await receive()
        piece = message.get("body", b"")
        size += len(piece)
        if size > BODY_LIMIT:
            raise HTTPException(413, "The body is too large")
        if depth and depth.too_deep(piece):
            raise BadRequest(f"the body nests deeper than {DEEPEST} levels")
        return message

    return receiving


def _may_be_json(scope: Scope) -> bool:
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return not kinds or any(b"json" in kind.lower() for kind in kinds)


def template(scope: Scope) -> str:
    """Return the template of the route a request was matched to: ids and all PHI stay out of it."""
    # FastAPI keeps the route as it was included, prefix and all, beside the bare one.
    route = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    return getattr(route, "path", "unmatched")


def _count(scope: Scope, status: int, seconds: float) -> None:
    """Count by route template: a path may hold an id, a label must not."""
    requests, durations = _meters(scope["method"], template(scope), status)
    requests.inc()
    durations.observe(seconds)


@lru_cache(maxsize=4096)
def _meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Return the counters with these labels, found once."""
    return _REQUESTS.labels(method, route, status), _SECONDS.labels(route)
