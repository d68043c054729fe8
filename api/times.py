"""Days, instants and hours as a caller may say them: written out, and such as the database and every zone can reckon with.

The first and the last day of Python's calendar are PostgreSQL's infinities, and an instant beside them has no local time.
A bare number could be seconds, milliseconds or a year.
"""

import re
from datetime import date, time
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError

_YEARS: Final = range(1800, 3000)
_WRITTEN: Final = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d")
_Dated = TypeVar("_Dated", bound=date)


def _written(value: object) -> object:
    if isinstance(value, str | int | float) and not _WRITTEN.match(str(value)):
        raise PydanticCustomError(
            "not_written",
            "written as RFC 3339 has it, such as 2026-03-09T14:30:00Z, 2026-03-09 or 14:30",
        )
    return value


def _near(value: _Dated) -> _Dated:
    if value.year not in _YEARS:
        raise PydanticCustomError("year", "a year from 1800 to 2999")
    return value


def _plain(at: time) -> time:
    if at.tzinfo or at.second or at.microsecond:
        raise PydanticCustomError("local_time", "a local time has hours and minutes alone")
    return at


Day = Annotated[date, BeforeValidator(_written), AfterValidator(_near)]
Instant = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_near)]
LocalTime = Annotated[time, BeforeValidator(_written), AfterValidator(_plain)]
