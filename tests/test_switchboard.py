"""Routes are found by the words of a path: each request by the very route that FastAPI would have found."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import Match

from api.app import create_app
from core.settings import Settings


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Settings(environment="development"))


def requests(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path that the document describes, with ids filled in."""
    for template, operations in app.openapi()["paths"].items():
        path = re.sub(r"\{[^}]*\}", "0190a5b2-0000-7000-8000-000000000001", template)
        for method in operations:
            yield method.upper(), path


def contexts(app: FastAPI) -> Iterator[Any]:
    """Every route as FastAPI included it, in its order."""
    for route in app.router.routes:
        included = getattr(route, "effective_candidates", None)
        yield from included() if included else [route]


def scope_of(method: str, path: str) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}


def test_the_route_found_is_the_first_that_matches_among_all(app: FastAPI):
    board: Any = app.router.middleware_stack
    for method, path in requests(app):
        scope = scope_of(method, path)
        first = next(c for c in contexts(app) if c.matches(dict(scope))[0] is Match.FULL)
        found = [line.route for line in board.candidates(path)]
        chosen = next((r for r in found if r.matches(dict(scope))[0] is Match.FULL), first)
        assert chosen is first, f"{method} {path}"
        assert len(found) < 12, f"{path} asks {len(found)} routes"


def test_the_usual_routes_are_found_without_asking_everyone(app: FastAPI):
    board: Any = app.router.middleware_stack
    for path in (
        "/v1/records/1",
        "/v1/appointments",
        "/v1/patients/1/records",
        "/v1/me",
        "/healthz",
    ):
        assert list(board.candidates(path)), path
