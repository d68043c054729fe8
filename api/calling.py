"""Calling a route: what it asks for by type is planned once, when the route is included.

FastAPI's resolver asks again, at every request and of every parameter, what kind of thing it is: that was a fifth of all that
a read cost. A plan gives the same arguments and the same refusals, since FastAPI's own functions read and check them.
What a plan does not know (forms, functions for a thread) is left to FastAPI.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from http import HTTPStatus
from inspect import isasyncgenfunction, iscoroutinefunction
from types import NoneType
from typing import Any, Final, get_type_hints

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.params import Body, Form
from pydantic import ValidationError
from pydantic_core import PydanticUndefined, from_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_NOTHING: Final = object()
_OTHERS: Final = ("websocket", "http_connection", "response", "background_tasks", "security_scopes")
_SOURCES: Final = {
    "query_params": "query_params",
    "header_params": "headers",
    "cookie_params": "cookies",
}


@dataclass(frozen=True, slots=True)
class Written:
    """A body of JSON, not read yet."""

    text: bytes


class Unplanned(Exception):
    """A function asks for something that a plan does not know."""


@dataclass(frozen=True, slots=True)
class Step:
    """A function to call: what a route depends on and, last, the route itself.

    `given` are its arguments by the places of the steps that return them, `path` those in the path, and `read` others of
    the request by where they stand there. What a function `opens` is closed when the route has returned.
    """

    call: Callable[..., Any]
    given: tuple[tuple[str | None, int], ...]
    path: tuple[Any, ...]
    read: tuple[tuple[str, Any], ...]
    body: Any
    request: str | None
    opens: bool


def planned(route: Any) -> ASGIApp | None:
    """Return a route as an application of its own; None for one that FastAPI has to call."""
    try:
        steps = _steps(route.dependant)
        reads_body = _reads_body(route)
    except Unplanned:
        return None
    opens = any(step.opens for step in steps)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        body = await _body(request) if reads_body else PydanticUndefined
        if opens:
            async with AsyncExitStack() as stack:
                response = await _call(steps, request, body, stack)
        else:
            response = await _call(steps, request, body, None)
        await response(scope, receive, send)

    return app


def _reads_body(route: Any) -> bool:
    """Tell whether a route has a body; the answer must be a Response, which nothing has to make one of, or nothing at all."""
    returned = get_type_hints(route.endpoint).get("return")
    silent = returned is NoneType and route.status_code == HTTPStatus.NO_CONTENT
    if not (silent or (isinstance(returned, type) and issubclass(returned, Response))):
        raise Unplanned
    how = route.body_field and route.body_field.field_info
    if isinstance(how, Form) or (isinstance(how, Body) and route._embed_body_fields):  # noqa: SLF001
        raise Unplanned
    return route.body_field is not None


def _steps(route: Dependant) -> list[Step]:
    """Return the functions of a route, each once and after those it depends on."""
    places: dict[Any, int] = {}
    steps: list[Step] = []

    def add(asked: Dependant) -> int:
        if asked.call not in places:
            given = tuple((each.name, add(each)) for each in asked.dependencies)
            steps.append(_step(asked, given))
            places[asked.call] = len(steps) - 1
        return places[asked.call]

    add(route)
    return steps


def _step(asked: Dependant, given: tuple[tuple[str | None, int], ...]) -> Step:
    opens = isasyncgenfunction(asked.call)
    in_the_loop = iscoroutinefunction(asked.call) or (opens and asked.scope == "function")
    if not in_the_loop or any(getattr(asked, f"{other}_param_name") for other in _OTHERS):
        raise Unplanned
    read = tuple((_SOURCES[n], fields) for n in _SOURCES if (fields := getattr(asked, n)))
    assert asked.call
    path, body = tuple(asked.path_params), asked.body_params
    return Step(asked.call, given, path, read, body, asked.request_param_name, opens)


async def _call(
    steps: list[Step], request: Request, body: Any, stack: AsyncExitStack | None
) -> Response:
    """Call one after the other; what lacks an argument is left out, so that all that is wrong is told at once."""
    results: list[Any] = []
    faults: list[Any] = []
    for step in steps:
        arguments, wrong = await _arguments(step, request, body)
        whole = not wrong
        for name, place in step.given:
            whole = whole and results[place] is not _NOTHING
            if name:
                arguments[name] = results[place]
        faults += wrong
        results.append(await _result(step, arguments, stack) if whole else _NOTHING)
    if faults:
        raise RequestValidationError(faults, body=_as_sent(body))
    return results[-1] or Response(status_code=HTTPStatus.NO_CONTENT)


async def _result(step: Step, arguments: dict[str, Any], stack: AsyncExitStack | None) -> Any:
    if stack and step.opens:
        return await stack.enter_async_context(asynccontextmanager(step.call)(**arguments))
    return await step.call(**arguments)


async def _arguments(step: Step, request: Request, body: Any) -> tuple[dict[str, Any], list[Any]]:
    """Return what a function takes from the request itself, and what is wrong with that."""
    arguments: dict[str, Any] = {step.request: request} if step.request else {}
    faults: list[Any] = []
    for field in step.path:
        arguments[field.name], wrong = field.validate(
            request.path_params[field.alias], arguments, loc=("path", field.alias)
        )
        faults += wrong
    for source, fields in step.read:
        values, wrong = request_params_to_args(fields, getattr(request, source))
        arguments |= values
        faults += wrong
    if step.body and isinstance(body, Written):
        (field,) = step.body
        arguments[field.name], wrong = _strictly(field, body)
        faults += wrong
    elif step.body:
        values, wrong = await request_body_to_args(step.body, body, embed_body_fields=False)
        arguments |= values
        faults += wrong
    return arguments, faults


def _as_sent(body: Any) -> Any:
    """Return what a body says, so that pointers into it can be told from what pydantic calls its branches."""
    with suppress(ValueError):
        return from_json(body.text) if isinstance(body, Written) else body


def _strictly(field: Any, body: Written) -> tuple[Any, list[Any]]:
    """Return what a JSON body is for a field, and what is wrong: `"1"` is no number here, 1 no date and 0 not false.

    FastAPI asks pydantic about what json.loads made of it, where nothing is a date or an id unless strings are taken for one,
    and numbers with them.
    """
    try:
        return field._type_adapter.validate_json(body.text, strict=True), []  # noqa: SLF001
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        return None, [{**fault, "loc": ("body", *fault["loc"])} for fault in found]


async def _body(request: Request) -> Any:
    """Return a request's body, marked where it says that it is JSON."""
    raw = await request.body()
    if not raw:
        return PydanticUndefined
    return Written(raw) if _is_json(request.headers.get("content-type", "")) else raw


@lru_cache(maxsize=64)
def _is_json(media_type: str) -> bool:
    message = Message()
    message["content-type"] = media_type
    subtype = message.get_content_subtype()
    main = bool(media_type) and message.get_content_maintype() == "application"
    return main and (subtype == "json" or subtype.endswith("+json"))
