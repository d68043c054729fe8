"""Finding a request's route by its path's words.

FastAPI asks every router in turn, and the asking would cost more than all else of a read, the more routes the more.
What is not found here is asked for FastAPI's way: 404, 405, redirects.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from itertools import chain
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send


class Switchboard:
    """The routes of an app by the length of their path, its second word and its fourth (`/v1/patients/{id}/records`)."""

    def __init__(self, app: FastAPI) -> None:
        self._router = app.router
        self._ask_everyone = app.router.middleware_stack
        self._routes: defaultdict[Hashable, list[BaseRoute]] = defaultdict(list)
        app.router.middleware_stack = self

    def include(self, app: FastAPI, router: APIRouter, prefix: str = "", **options: Any) -> None:
        """Include a router's routes one by one: each is then found, and matched, alone."""
        for route in router.routes:
            alone = APIRouter()
            alone.routes.append(route)
            app.include_router(alone, prefix=prefix, **options)
            path = prefix + getattr(route, "path", "")
            if ":path}" not in path:  # which may be of any length
                self._routes[_key(path)].append(app.router.routes[-1])

    def candidates(self, path: str) -> Iterator[BaseRoute]:
        """Return the few routes that may match a path, those with its very words first."""
        length, second, fourth = _key(path)
        named = self._routes.get((length, second, fourth), ())
        return chain(named, self._routes.get((length, second, None), ()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request by the first route found that matches it, path and method."""
        if scope["type"] == "http":
            for route in self.candidates(scope["path"]):
                if route.matches(scope)[0] is Match.FULL:
                    scope["router"] = self._router
                    return await route.handle(scope, receive, send)
        return await self._ask_everyone(scope, receive, send)


def _key(path: str) -> tuple[int, str, str | None]:
    """Return what a path, or a template, is found by; a parameter in the fourth place is None."""
    words = path.split("/")  # the first is empty: a path begins with a slash
    _, _, second, _, fourth, *_ = *words, "", "", "", "", ""
    return len(words), second, None if fourth[:1] == "{" else fourth
