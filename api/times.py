"""Days, instants and hours as a caller may say them: such as the database and every zone can reckon with.

The first and the last day of Python's calendar are PostgreSQL's infinities, and an instant beside them has no local time.
"""

from datetime import date, time
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, AwareDatetime
from pydantic_core import PydanticCustomError

_YEARS: Final = range(1800, 3000)
_Dated = TypeVar("_Dated", bound=date)


def _near(value: _Dated) -> _Dated:
    if value.year not in _YEARS:
        raise PydanticCustomError("year", "a year from 1800 to 2999")
    return value


def _plain(at: time) -> time:
    if at.tzinfo or at.second or at.microsecond:
        raise PydanticCustomError("local_time", "a local time has hours and minutes alone")
    return at


Day = Annotated[date, AfterValidator(_near)]
Instant = Annotated[AwareDatetime, AfterValidator(_near)]
LocalTime = Annotated[time, AfterValidator(_plain)]
