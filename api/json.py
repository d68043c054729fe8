"""Answers as JSON, straight from the domain's values: no second validation on the way out."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson
from starlette.responses import Response

_TEXTS: Final = (UUID, Decimal)


class Json(Response):
    """A JSON response rendered by orjson: dataclasses, UUIDs, times and StrEnums as they are."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return dumps(content)


def dumps(content: Any) -> bytes:
    """Return a value as JSON."""
    return orjson.dumps(content, default=_plain)


def _plain(value: object) -> object:
    """Write what orjson does not know: the driver's own UUID type, above all, and rows of its."""
    if isinstance(value, _TEXTS):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")
