"""A span around every request, where traces are sent at all: named by its route's template, with ids of our own making."""

from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.middleware import template
from core import tracing

_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_UNTRACED: Final = {"/healthz", "/readyz", "/metrics"}
_OURS: Final = 500


class Traced:
    """The outermost middleware of a process that sends traces; others do not have it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request through, in a span that goes on with the caller's trace."""
        if scope["type"] != "http" or scope["path"] in _UNTRACED:
            return await self._app(scope, receive, send)
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        parent = next(
            (v.decode("latin-1") for n, v in scope["headers"] if n == b"traceparent"), None
        )
        with tracing.span(method, "SERVER", parent, http__request__method=method) as span:
            status = _OURS

            async def sending(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await self._app(scope, receive, sending)
            finally:
                _tell(span, scope, method, status)


def _tell(span: Any, scope: Scope, method: str, status: int) -> None:
    """Name the span once the route is known."""
    route = template(scope)
    span.update_name(f"{method} {route}")
    span.set_attributes(
        {
            "http.route": route,
            "http.response.status_code": status,
            "confide.request_id": scope.get("request_id", ""),
        }
    )
    if status >= _OURS:
        span.set_attribute("error.type", str(status))
