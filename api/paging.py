"""Keyset pages. A cursor says where to go on, never what may be seen: every page is decided anew."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from core.errors import BadRequest, FieldError

T = TypeVar("T")

LONGEST: Final = 100
"""Items of a page at most."""


class Listing(BaseModel, Generic[T]):
    """One page of a list."""

    items: Sequence[T]
    next_cursor: str | None = Field(None, description="`cursor` of the next page; null on the last")


@dataclass(frozen=True, slots=True)
class Span:
    """How many items, and after which."""

    limit: int
    after: UUID | None


async def span(
    limit: Annotated[int, Query(ge=1, le=LONGEST, description="items a page")] = 20,
    cursor: Annotated[
        str | None, Query(max_length=64, description="`next_cursor` of the last page")
    ] = None,
) -> Span:
    """Read the paging parameters of a request."""
    return Span(limit, _decode(cursor) if cursor else None)


Page = Annotated[Span, Depends(span)]


def cursor(last: UUID | None) -> str | None:
    """Return the cursor after an item, opaque to clients."""
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=") if last else None


def _decode(text: str) -> UUID:
    try:
        return UUID(bytes=base64.b64decode(text + "==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        fault = FieldError("/cursor", "cursor", "this is no cursor of ours")
        raise BadRequest(code="bad-parameter", errors=[fault]) from None
