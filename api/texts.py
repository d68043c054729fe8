"""Text of one line, as a caller may write it, without blanks around: a control character changes what a screen or a log shows of it."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _one_line(text: str) -> str:
    if _CONTROL.search(text):
        raise PydanticCustomError("control_character", "text of one line has no control characters")
    return text


Line = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_one_line)]
Word = Annotated[Line, Field(min_length=1, max_length=200)]
