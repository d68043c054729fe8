"""What every operation may answer instead: written once a status, with an example of each code that has it."""

from http import HTTPStatus
from typing import Any, Final

from api.errors import PROBLEM_JSON
from api.openapi.walking import operations
from api.problems import Explained, catalogue

TITLES: Final = {
    400: "The request cannot be read",
    406: "None of its answers is acceptable",
    409: "It does not fit what is there",
    410: "It was erased, for good",
    412: "It has changed since",
    413: "The body is too large",
    415: "The body is of another type",
    423: "It was closed to this",
    428: "If-Match is required",
    500: "An error of ours, or sealed data that does not open",
}
_WRITES: Final = ("post", "put", "patch", "delete")
_ID: Final = "01975e3a-7c1e-7d2b-9a4f-3c5d6e7f8091"
_HEADERS: Final[dict[str, Any]] = {
    "RateLimit": {
        "description": "What is left of each limit; not sent with 404",
        "schema": {"type": "string", "maxLength": 500},
        "example": '"caller";r=5990;t=41',
    },
    "Access-Control-Allow-Origin": {
        "description": "Never sent: no script of another origin may read an answer",
        "schema": {"type": "string", "maxLength": 200},
    },
    "RateLimit-Policy": {
        "description": "The limits; not sent with 404",
        "schema": {"type": "string", "maxLength": 500},
        "example": '"caller";q=6000;w=60',
    },
}
_RETRY: Final[dict[str, Any]] = {
    "description": "Seconds to wait",
    "schema": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 86400},
    "example": 30,
}
_COUNTED: Final = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
_WAIT: Final = {429, 503}


def share(document: dict[str, Any]) -> None:
    """Give operations the refusals they may meet, as references to one description each."""
    for operation in operations(document, *_WRITES, under="/v1/"):
        _may_be(operation, "409", *(["423"] if _names_one(operation) else []))
    for operation in operations(document, under="/v1/"):
        _may_be(operation, "500", *(["410"] if _names_one(operation) else []))
    for operation in operations(document):
        _expect(operation)
    document["components"]["headers"] = _HEADERS
    told: dict[str, Any] = {}
    document["components"]["responses"] = told
    for operation in operations(document):
        for status, response in operation["responses"].items():
            if status[0] in "45" and (
                response is None or PROBLEM_JSON in response.get("content", {})
            ):
                name = HTTPStatus(int(status)).phrase.replace(" ", "").replace("-", "")
                told.setdefault(name, _refusal(int(status), response))
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
            elif status[0] in "24":
                response.setdefault("headers", {}).update(_COUNTED)


def _expect(operation: dict[str, Any]) -> None:
    """A body may be too large or of another type; who sends If-Match may be late; anything may be no HTTP."""
    statuses = ["400"]
    if any(r and r.get("content") for s, r in operation["responses"].items() if s[0] == "2"):
        statuses += ["406"]
    if "requestBody" in operation:
        statuses += ["413", "415"]
    if any(p.get("name", "").lower() == "if-match" for p in operation.get("parameters", ())):
        statuses += ["412", "428"]
    _may_be(operation, *statuses)


def _names_one(operation: dict[str, Any]) -> bool:
    """Tell whether it is about one thing, which may have been closed, or erased."""
    return any(p.get("in") == "path" for p in operation.get("parameters", ()))


def _may_be(operation: dict[str, Any], *statuses: str) -> None:
    for status in statuses:
        operation["responses"].setdefault(status, None)


def _refusal(status: int, told: dict[str, Any] | None) -> dict[str, Any]:
    kinds = [kind for kind in catalogue().values() if kind.status == status]
    return {
        "description": TITLES.get(status) or (told or {})["description"],
        "headers": {**_COUNTED, **({"Retry-After": _RETRY} if status in _WAIT else {})},
        "content": {
            PROBLEM_JSON: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {kind.code: _example(kind) for kind in kinds},
            }
        },
    }


def _example(kind: Explained) -> dict[str, Any]:
    problem = {
        "type": f"/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
        "detail": "",
        "instance": f"urn:confide:request:{_ID}",
        "request_id": _ID,
        "errors": [],
    }
    return {"summary": kind.meaning, "value": problem}
