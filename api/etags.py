"""Versions over HTTP: a weak ETag goes out, If-Match comes back. Stale is 412; missing, where it must be, is 428.

A read is decided and noted whether or not its reader has the version already (If-None-Match, 304).
"""

import re
from typing import Annotated, Final

from fastapi import Depends, Header
from starlette.types import Message, Scope

from core.errors import PreconditionRequired

REQUIRED: Final = "x-required"
"""Stands in the schema of a header that must be sent; FastAPI's own answer to one that is missing would be 422."""

_TAG: Final = re.compile(r'(?:W/)?"(\d{1,9})"')
_NONE_OF_OURS: Final = 0
_OF_A_BODY: Final = frozenset({b"content-length", b"content-type"})


def etag(version: int) -> str:
    """Return the ETag of a version."""
    return f'W/"{version}"'


async def _seen(
    if_match: Annotated[
        str | None,
        Header(description="the ETag this change is based on; another version is 412"),
    ] = None,
) -> int | None:
    return _version(if_match)


async def _required(
    if_match: Annotated[
        str | None,
        Header(
            description="the ETag this change is based on: missing is 428, stale is 412",
            json_schema_extra={REQUIRED: True},
        ),
    ] = None,
) -> int | None:
    if if_match is None:
        raise PreconditionRequired("send the ETag of what you read as If-Match")
    return _version(if_match)


def _version(if_match: str | None) -> int | None:
    """Return the version a caller has seen; None for nothing said, or for `*`.

    Of a list it is the newest: versions only rise, so none before it can be the present one.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (_TAG.fullmatch(tag.strip()) for tag in if_match.split(","))
    return max((int(tag[1]) for tag in tags if tag), default=_NONE_OF_OURS)


def unchanged(scope: Scope, answer: Message) -> bool:
    """Tell whether the caller of a GET has the very version that is answered."""
    if scope["method"] != "GET" or answer["status"] != 200:  # noqa: PLR2004 - a good read
        return False
    asked = b",".join(v for name, v in scope["headers"] if name == b"if-none-match")
    if not asked:
        return False
    tags = {tag.strip().removeprefix(b"W/") for tag in asked.split(b",")}
    given = [v.removeprefix(b"W/") for name, v in answer["headers"] if name == b"etag"]
    return bool(given) and (given[0] in tags or b"*" in tags)


def not_modified(answer: Message) -> Message:
    """Return the beginning of an answer as 304."""
    headers = [pair for pair in answer["headers"] if pair[0] not in _OF_A_BODY]
    return {**answer, "status": 304, "headers": headers}


Seen = Annotated[int | None, Depends(_seen)]
"""For a POST that does an act: If-Match is honoured where it is sent."""
MustHaveSeen = Annotated[int | None, Depends(_required)]
"""For PUT, PATCH and DELETE: If-Match must be sent."""
