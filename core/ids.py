"""Identifiers: UUIDv7 (RFC 9562), made by the client of the database so that a row's id exists before the row."""

from datetime import datetime
from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """Return a fresh UUIDv7: ordered by time, unguessable enough to be no secret and no counter."""
    return UUID(bytes=uuid_utils.uuid7().bytes)


def first_id(at: datetime) -> UUID:
    """Return the lowest UUIDv7 of a moment: whatever was made since has a higher one. Before 1970 there are none."""
    return UUID(int=max(0, int(at.timestamp() * 1000)) << 80 | 0x7 << 76 | 0x2 << 62)
