"""Versions over HTTP: a weak ETag goes out, If-Match comes back. Stale is 412; missing, where it must be, is 428."""

import re
from typing import Annotated, Final

from fastapi import Depends, Header

from core.errors import PreconditionRequired

_TAG: Final = re.compile(r'(?:W/)?"(\d{1,9})"')
_NONE_OF_OURS: Final = 0


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
        Header(description="the ETag this change is based on: missing is 428, stale is 412"),
    ] = None,
) -> int | None:
    if if_match is None:
        raise PreconditionRequired("send the ETag of what you read as If-Match")
    return _version(if_match)


def _version(if_match: str | None) -> int | None:
    """Return the version a caller has seen; None for nothing said, or for `*`."""
    if if_match is None or if_match.strip() == "*":
        return None
    tag = _TAG.fullmatch(if_match.strip())
    return int(tag.group(1)) if tag else _NONE_OF_OURS


Seen = Annotated[int | None, Depends(_seen)]
"""For a POST that does an act: If-Match is honoured where it is sent."""
MustHaveSeen = Annotated[int | None, Depends(_required)]
"""For PUT, PATCH and DELETE: If-Match must be sent."""
