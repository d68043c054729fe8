"""Finding a request's route by its path's words.

FastAPI asks every router in turn, and the asking would cost more than all else of a read, the more routes the more.
What is not found here is asked for FastAPI's way: 404, 405, redirects.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from api.calling import planned


@dataclass(frozen=True, slots=True)
class Line:
    """A route as FastAPI included it, and what answers for it."""

    route: Any
    answer: ASGIApp


class Switchboard:
    """The routes of an app by the length of their path, its second word and its fourth (`/v1/patients/{id}/records`)."""

    def __init__(self, app: FastAPI) -> None:
        self._ask_everyone = app.router.middleware_stack
        self._lines: defaultdict[Hashable, list[Line]] = defaultdict(list)
        app.router.middleware_stack = self

    def include(self, app: FastAPI, router: APIRouter, prefix: str = "", **options: Any) -> None:
        """Include a router's routes one by one: each is then found, and matched, alone."""
        for route in router.routes:
            alone = APIRouter()
            alone.routes.append(route)
            app.include_router(alone, prefix=prefix, **options)
            path = prefix + getattr(route, "path", "")
            if ":path}" not in path:  # which may be of any length
                self._lines[_key(path)].append(_line(app.router.routes[-1], route))

    def candidates(self, path: str) -> Iterator[Line]:
        """Return the few routes that may match a path, those with its very words first."""
        length, second, fourth = _key(path)
        named = self._lines.get((length, second, fourth), ())
        return chain(named, self._lines.get((length, second, None), ()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request by the first route found that matches it, path and method."""
        if scope["type"] == "http":
            for line in self.candidates(scope["path"]):
                match, found = line.route.matches(scope)
                if match is Match.FULL:
                    scope.update(found, route=line.route)
                    return await line.answer(scope, receive, send)
        return await self._ask_everyone(scope, receive, send)


def _line(included: Any, route: BaseRoute) -> Line:
    """Return the line of a route that was included alone."""
    (found,) = included.effective_candidates()
    planned_call = planned(found) if isinstance(route, APIRoute) else None
    return Line(found, planned_call or included.handle)


def _key(path: str) -> tuple[int, str, str | None]:
    """Return what a path, or a template, is found by; a parameter in the fourth place is None."""
    words = path.split("/")  # the first is empty: a path begins with a slash
    _, _, second, _, fourth, *_ = *words, "", "", "", "", ""
    return len(words), second, None if fourth[:1] == "{" else fourth
