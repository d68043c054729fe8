"""What HTTP asks of every route alike: the methods a path has, the bodies it takes, the answers it can give."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from fastapi.params import Body
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from core.errors import BadRequest, FieldError

MERGE_PATCH: Final = "application/merge-patch+json"
JSON: Final = "application/json"
LONGEST_TAGS: Final = 2083
"""Characters of If-None-Match."""
_ANYTHING: Final = "application/octet-stream"
"""What is as it was stored: nobody knows beforehand of which type."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The media types that a route takes and gives; empty where it is not said."""

    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()

    def check(self, scope: Scope) -> None:
        """Refuse a body of another type (415), a caller who takes no answer there is (406) or names no end of versions (400)."""
        headers = dict(scope["headers"])
        if len(headers.get(b"if-none-match", b"")) > LONGEST_TAGS:
            fault = FieldError("/If-None-Match", "string-too-long", "these are too many versions")
            raise BadRequest(code="bad-parameter", errors=[fault])
        accept = b",".join(value for name, value in scope["headers"] if name == b"accept")
        if accept and self.gives and not acceptable(accept.decode("latin-1"), self.gives):
            raise HTTPException(406, "Not Acceptable")
        if self.takes and _has_body(headers):
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if kind.decode("latin-1") not in self.takes:
                raise HTTPException(415, "Unsupported Media Type", self.offer(scope["method"]))

    def offer(self, method: str) -> dict[str, str]:
        """Return the header that says which bodies are taken."""
        name = "Accept-Patch" if method == "PATCH" else "Accept"
        return {name: ", ".join(self.takes)}


def terms(route: object) -> Terms:
    """Return what a route declares. One that is not in the document speaks for itself."""
    if not (isinstance(route, APIRoute) and route.include_in_schema):
        return Terms()
    gives = tuple(_gives(route))
    return Terms(tuple(_takes(route)), () if _ANYTHING in gives else gives)


def _takes(route: APIRoute) -> Iterable[str]:
    told: Mapping[str, Any] = (route.openapi_extra or {}).get("requestBody", {}).get("content", {})
    if told or not route.body_field:
        return told
    how = route.body_field.field_info
    kind = how.media_type if isinstance(how, Body) else JSON
    patching = kind == JSON and "PATCH" in (route.methods or ())
    return (MERGE_PATCH, JSON) if patching else (kind,)


def _gives(route: APIRoute) -> Iterable[str]:
    if route.status_code == 204:  # noqa: PLR2004 - no content
        return
    usual: Any = getattr(route.response_class, "value", route.response_class)
    if usual.media_type:
        yield usual.media_type
    for status, told in route.responses.items():
        if str(status)[0] == "2":
            yield from told.get("content", ())


@lru_cache(maxsize=1024)
def acceptable(accept: str, gives: tuple[str, ...]) -> bool:
    """Tell whether an Accept header (RFC 9110, 12.5.1) takes one of some media types: the nearest range decides."""
    ranges = dict(_range(part) for part in accept.split(",") if part.strip())
    for kind in gives:
        main = kind.partition("/")[0]
        near = next((ranges[r] for r in (kind, f"{main}/*", "*/*") if r in ranges), False)
        if near:
            return True
    return False


def _range(part: str) -> tuple[str, bool]:
    kind, *parameters = (word.strip().lower() for word in part.split(";"))
    zero = any(p.replace(" ", "").rstrip("0").rstrip(".") in ("q=0", "q=") for p in parameters)
    return kind, not zero


def _has_body(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def methods_of(found: Iterable[Any]) -> str:
    """Return the methods of the routes of one path, for `Allow`."""
    methods = {method for route in found for method in route.methods}
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))


def options(allowed: str, patches: Mapping[str, str]) -> Response:
    """Answer what a path can be asked. No origin is named: no script of another one may ask."""
    return Response(status_code=204, headers={"Allow": allowed, **patches})
