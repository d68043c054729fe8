"""Where a cell lives, and the one way opening anything can fail."""

from enum import StrEnum
from typing import NamedTuple, NoReturn, SupportsIndex
from uuid import UUID


class Place(NamedTuple):
    """Where a cell lives. It is authenticated with the cell, which therefore opens nowhere else."""

    table: str
    column: str
    row_id: UUID
    patient_id: UUID


class DecryptCode(StrEnum):
    """Why something stays sealed.

    `format`: not a cell of ours. `auth`: forged, damaged, moved, or sealed under another key.
    `key_destroyed`: its key never comes back. (One that is out of reach is `core.errors.Unavailable`.)
    """

    FORMAT = "format"
    KEY_DESTROYED = "key_destroyed"
    AUTH = "auth"


class DecryptError(Exception):
    """Something did not open. The message is the code and the place, never a byte of what was read.

    It is raised outside `except` blocks, so that no `__context__` carries what the library saw.
    """

    def __init__(self, code: DecryptCode, place: Place | None = None) -> None:
        where = f": {place.table}.{place.column} {place.row_id}" if place else ""
        super().__init__(f"{code}{where}")
        self.code = code
        self.place = place


class Unpicklable:
    """A thing that must not leave the process: pickling and copying refuse."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not to be pickled or copied")
