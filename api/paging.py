"""Keyset pages. A cursor says where to go on, never what may be seen: every page is decided anew."""

import base64
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from api.json import Json
from core.errors import BadRequest, FieldError

T = TypeVar("T")

LONGEST: Final = 100
"""Items of a page at most."""
_NUMBERS: Final = 2**31
"""Above what numbers items have; a UUIDv7 is far above it."""

Limit = Annotated[int, Query(ge=1, le=LONGEST, description="items a page")]
Cursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the last page")]


class Listing(BaseModel, Generic[T]):
    """One page of a list."""

    items: Sequence[T]
    next_cursor: str | None = Field(None, description="`cursor` of the next page; null on the last")


@dataclass(frozen=True, slots=True)
class Span:
    """How many items, and after which."""

    limit: int
    after: UUID | None
    request: Request

    @property
    def number(self) -> int | None:
        """After which item, in a list by numbers; a cursor of another list is none of this one's."""
        if self.after and self.after.int >= _NUMBERS:
            raise _foreign()
        return self.after.int if self.after else None

    def listed(self, items: Sequence[Any], last: UUID | None, **more: Any) -> Json:
        """Answer with a page and, in `Link` (RFC 8288), where the first one and the next one are."""
        onward = cursor_at(last.bytes) if last else None
        body = {**more, "items": items, "next_cursor": onward}
        return Json(body, headers=links(self.request, onward))


def unpaged(items: Sequence[Any]) -> Json:
    """Answer with a list of which there are no pages."""
    return Json({"items": items, "next_cursor": None})


def links(request: Request, onward: str | None) -> dict[str, str]:
    """Return the header of a list; none for a search, whose terms stand in a body that no link has."""
    if request.method != "GET":
        return {}
    found = [f'<{_at(request, None)}>; rel="first"']
    found += [f'<{_at(request, onward)}>; rel="next"'] if onward else []
    return {"Link": ", ".join(found)}


def _at(request: Request, cursor: str | None) -> str:
    asked = [(n, v) for n, v in request.query_params.multi_items() if n != "cursor"]
    query = urlencode([*asked, ("cursor", cursor)] if cursor else asked)
    return f"{request.url.path}?{query}" if query else request.url.path


async def span(request: Request, limit: Limit = 20, cursor: Cursor = None) -> Span:
    """Read the paging parameters of a request."""
    after = place_of(cursor, lambda place: UUID(bytes=place)) if cursor else None
    return Span(limit, after, request)


Page = Annotated[Span, Depends(span)]


def cursor_at(place: bytes) -> str:
    """Return the cursor of a place in a list, opaque to clients."""
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def place_of(cursor: str, read: Callable[[bytes], T]) -> T:
    """Return the place of a cursor, as `read` makes it out; raise BadRequest for one that we did not make."""
    try:
        return read(base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (ValueError, OverflowError, struct.error):
        raise _foreign() from None


def _foreign() -> BadRequest:
    fault = FieldError("/cursor", "cursor", "this is no cursor of this list")
    return BadRequest(code="bad-parameter", errors=[fault])
