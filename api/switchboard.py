"""Finding a request's route by its path's words.

FastAPI asks every router in turn, and the asking would cost more than all else of a read, the more routes the more.
A path that has not the method asked for is answered here (OPTIONS, 405); one that is not found is asked for FastAPI's way.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from api.calling import planned
from api.terms import Terms, methods_of, options, terms


@dataclass(frozen=True, slots=True)
class Line:
    """A route as FastAPI included it, and what answers for it."""

    path: str
    route: Any
    answer: ASGIApp
    terms: Terms


class Switchboard:
    """The routes of an app by the length of their path, its second word and its fourth (`/v1/patients/{id}/records`)."""

    def __init__(self, app: FastAPI) -> None:
        self._ask_everyone = app.router.middleware_stack
        self._lines: defaultdict[Hashable, list[Line]] = defaultdict(list)
        self._odd: list[tuple[str, Line]] = []
        app.router.middleware_stack = self

    def include(self, app: FastAPI, router: APIRouter, prefix: str = "", **options: Any) -> None:
        """Include a router's routes one by one: each is then found, and matched, alone.

        Of each, FastAPI would have the app enter a life of its own, one within another. They have none.
        """
        life = app.router.lifespan_context
        for route in router.routes:
            alone = APIRouter()
            alone.routes.append(route)
            app.include_router(alone, prefix=prefix, **options)
            path = prefix + getattr(route, "path", "")
            line = _line(path, app.router.routes[-1], route)
            if ":path}" in path or _key(path)[1][:1] == "{":  # of any length, of any second word
                self._odd.append((path.partition("{")[0], line))
            else:
                self._lines[_key(path)].append(line)
                self._lines[_key(path)].sort(key=lambda line: line.path)  # `{` after every letter
        app.router.lifespan_context = life

    def candidates(self, path: str) -> Iterator[Line]:
        """Return the few routes that may match a path, those with its very words first."""
        length, second, fourth = _key(path)
        named = self._lines.get((length, second, fourth), ())
        odd = (line for beginning, line in self._odd if path.startswith(beginning))
        return chain(named, self._lines.get((length, second, None), ()), odd)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request by the first route found that matches it, path and method."""
        if scope["type"] == "http":
            others: list[Line] = []
            for line in self.candidates(path := scope["path"]):
                if others and others[0].path == path != line.path:
                    break  # a word of ours is nobody's id
                match, found = line.route.matches(scope)
                if match is Match.FULL:
                    line.terms.check(scope)
                    scope.update(found, route=line.route)
                    return await line.answer(scope, receive, send)
                if match is Match.PARTIAL:
                    others.append(line)
            if others:
                return await _otherwise(others, scope, receive, send)
        return await self._ask_everyone(scope, receive, send)


async def _otherwise(others: list[Line], scope: Scope, receive: Receive, send: Send) -> None:
    """Say which methods a path has: to OPTIONS as an answer, to all others as a refusal."""
    allowed = methods_of(line.route for line in others)
    if scope["method"] != "OPTIONS":
        raise HTTPException(405, "Method Not Allowed", {"Allow": allowed})
    patching = [line.terms for line in others if "PATCH" in line.route.methods]
    patches = patching[0].offer("PATCH") if patching else {}
    await options(allowed, patches)(scope, receive, send)


def _line(path: str, included: Any, route: BaseRoute) -> Line:
    """Return the line of a route that was included alone."""
    (found,) = included.effective_candidates()
    planned_call = planned(found) if isinstance(route, APIRoute) else None
    return Line(path, found, planned_call or included.handle, terms(route))


def _key(path: str) -> tuple[int, str, str | None]:
    """Return what a path, or a template, is found by; a parameter in the fourth place is None."""
    words = path.split("/")  # the first is empty: a path begins with a slash
    _, _, second, _, fourth, *_ = *words, "", "", "", "", ""
    return len(words), second, None if fourth[:1] == "{" else fourth
