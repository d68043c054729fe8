"""Every refusal as RFC 9457 `application/problem+json`: codes and pointers, never the value that was refused."""

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from api.json import dumps
from core import errors
from core.errors import DomainError, FieldError, Unavailable
from records.clinic import Erased, Unreadable
from records.scheduling.taken import SlotTaken, alternatives

PROBLEM_JSON: Final = "application/problem+json"

STATUS: Final[Mapping[type[DomainError], tuple[int, str]]] = {
    errors.BadRequest: (400, "The request cannot be read"),
    errors.Unauthenticated: (401, "You are not logged in"),
    errors.Forbidden: (403, "Not allowed"),
    errors.NotFound: (404, "Not found"),
    errors.Conflict: (409, "Conflict"),
    Erased: (410, "It was erased"),
    errors.PreconditionFailed: (412, "It has changed"),
    errors.Invalid: (422, "Some of it is not valid"),
    errors.Locked: (423, "Locked"),
    errors.PreconditionRequired: (428, "If-Match is required"),
    errors.Throttled: (429, "Too many requests"),
    Unreadable: (500, "Sealed data does not open"),
    errors.Unavailable: (503, "Not available now"),
}
_HEADERS: Final = {
    401: {"WWW-Authenticate": 'Bearer error="invalid_token"'},
    429: {"Retry-After": "30"},
    503: {"Retry-After": "2"},
}
_CODES: Final = {
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    413: "too-large",
    415: "media-type",
}

STEP_UP: Final = "insufficient_user_authentication"
"""RFC 9470."""

log = structlog.get_logger()


class Fault(BaseModel):
    """One broken field."""

    pointer: str = Field(
        description="JSON Pointer (RFC 6901) into the body; for a parameter or a header, its name after a slash"
    )
    code: str = Field(description="stable code of the broken rule")
    message: str = Field(description="a sentence for people; never the value")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(
        description="where this kind of problem is explained", examples=["/problems/not-found"]
    )
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    code: str = Field(description="stable code, the last part of `type`", examples=["not-found"])
    detail: str = ""
    instance: str = Field(description="this occurrence", examples=["urn:confide:request:0190…"])
    request_id: str = Field(description="the X-Request-Id of the request")
    errors: list[Fault] = Field(default_factory=list)


OF_ALL: Final = frozenset({400, 401, 403, 404, 422, 429, 503})


def told(statuses: Iterable[int]) -> dict[int | str, dict[str, Any]]:
    """Return what a document says of refusals: a title each, and that it is a problem."""
    problem = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    titles = {status: title for status, title in STATUS.values() if status in statuses}
    return {status: {"description": title, "content": problem} for status, title in titles.items()}


RESPONSES: Final = told(OF_ALL)
"""What every route of the API may answer besides its own."""


def install(app: FastAPI) -> None:
    """Answer every refusal of the app as a problem. What nobody foresaw is the envelope's to answer (`unforeseen`)."""
    app.add_exception_handler(DomainError, _domain)
    app.add_exception_handler(SlotTaken, _taken)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


async def _domain(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    status, title = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    wait = error.members.get("retry_after")
    headers = {"Retry-After": str(wait)} if wait else None
    if isinstance(error, errors.StepUp):
        asked = ", ".join(f'{name}="{value}"' for name, value in error.members.items())
        headers = {"WWW-Authenticate": f'Bearer error="{STEP_UP}", {asked}'}
    if error.code == "insufficient-scope":
        asked = f', scope="{error.members["scope"]}"' if "scope" in error.members else ""
        headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope"{asked}'}
    what = error.code, error.detail, error.errors, error.members, headers
    return _answer(request, status, title, *what)


async def _taken(request: Request, error: Exception) -> Response:
    """Add the next free times: here the failed transaction is over, and its connection given back."""
    assert isinstance(error, SlotTaken)
    with suppress(Unavailable):
        found = await alternatives(request.app.state.clinic, error.wanted)
        error.members = {**error.members, "alternatives": found}
    return await _domain(request, error)


async def _validation(request: Request, error: Exception) -> Response:
    """FastAPI's own handler echoes the input; this one tells where and which rule."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(e["type"] == "json_invalid" for e in found):
        return _answer(request, 400, "The request cannot be read", "malformed-json")
    faults = faults_of(found, error.body)
    if all(e["loc"][0] != "body" for e in found):
        return _answer(request, 400, "The request cannot be read", "bad-parameter", errors=faults)
    return _answer(request, 422, "Some of it is not valid", "invalid", errors=faults)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    name = _CODES.get(error.status_code, "http-error")
    return _answer(request, error.status_code, str(error.detail), name, headers=error.headers)


def unforeseen(request: Request, error: Exception) -> Response:
    """Say that it is our fault. The log gets the error's kind and place, not its text."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    log.error("unhandled", error=type(error).__name__, at=f"{frame.name}:{frame.lineno}")
    return _answer(request, 500, "An error of ours", "internal")


def _answer(
    request: Request,
    status: int,
    title: str,
    code: str,
    detail: str = "",
    errors: Sequence[FieldError] = (),
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    request_id = request.scope.get("request_id", "")
    body = {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "instance": f"urn:confide:request:{request_id}",
        "request_id": request_id,
        "errors": list(errors),
        **(members or {}),
    }
    return Response(
        dumps(body),
        status,
        {**_HEADERS.get(status, {}), **(headers or {}), "Cache-Control": "no-store"},
        PROBLEM_JSON,
    )


_SOURCES: Final = ("body", "query", "path", "header")


def faults_of(found: Iterable[Mapping[str, Any]], body: Any = None) -> list[FieldError]:
    """Return what pydantic found as pointers into the body and rules, without the values."""
    return [FieldError(_pointer(e, body), e["type"].replace("_", "-"), _rule(e)) for e in found]


def _pointer(error: Mapping[str, Any], body: Any) -> str:
    loc = error["loc"]
    source, *parts = loc if loc and loc[0] in _SOURCES else ("body", *loc)
    # A parameter has no places within; what stands after its name is a branch.
    places = _places(parts, body, error["type"]) if source == "body" else parts[:1]
    return "".join(f"/{str(p).replace('~', '~0').replace('/', '~1')}" for p in places)


def _places(parts: Sequence[Any], within: Any, kind: str) -> Iterator[Any]:
    """Leave out what pydantic calls the branches of a union: no reader finds them in the body."""
    for at, part in enumerate(parts):
        listed = isinstance(within, list) and isinstance(part, int)
        if listed or (isinstance(within, dict) and part in within):
            within = within[part]
            yield part
        elif (
            parts[at:] == [part]
            and isinstance(within, dict | None)
            and (at == 0 or kind == "missing")
        ):
            yield part  # what is missing, or stood elsewhere when it was sent


def _rule(error: Mapping[str, Any]) -> str:
    """Return a sentence about the rule. Pydantic's own may quote the value where ours raised it."""
    return "the value breaks a rule" if error["type"] == "value_error" else str(error["msg"])
