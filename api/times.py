"""Days, instants and hours as a caller may say them: written out, and such as the database and every zone can reckon with.

The first and the last day of Python's calendar are PostgreSQL's infinities, and an instant beside them has no local time.
A bare number could be seconds, milliseconds or a year; pydantic takes one even out of a text.
"""

import re
from datetime import date, time
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, AwareDatetime, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator, core_schema

_WRITTEN: Final = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d")
_YEARS: Final = range(1800, 3000)
_Dated = TypeVar("_Dated", bound=date)


class _Written:
    """Asks a date of pydantic only where one is written: of a text, also where JSON is read strictly."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        dated = handler(source)
        read = SchemaValidator(dated).validate_python

        def of_text(value: str) -> Any:
            try:
                return read(_written(value))
            except ValidationError as error:
                (fault,) = error.errors(include_input=False)
                raise PydanticCustomError(fault["type"], "this is no date or time") from None

        return core_schema.json_or_python_schema(
            core_schema.no_info_after_validator_function(of_text, core_schema.str_schema()),
            core_schema.no_info_before_validator_function(_written, dated),
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        while "python_schema" not in schema:
            schema = schema["schema"]
        told: dict[str, Any] = handler(schema["python_schema"])
        return told


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


Day = Annotated[date, _Written(), AfterValidator(_near)]
Instant = Annotated[AwareDatetime, _Written(), AfterValidator(_near)]
LocalTime = Annotated[time, _Written(), AfterValidator(_plain)]
