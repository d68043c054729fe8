"""Bodies: of requests, which refuse what they do not name; of answers, which show what their view has."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A body whose texts are taken to the letter."""

    model_config = ConfigDict(extra="forbid")


class Trimmed(Strict):
    """A body whose texts lose the blanks around them."""

    model_config = ConfigDict(str_strip_whitespace=True)


def shown(view: type[BaseModel], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a row what a view has."""
    return {name: row[name] for name in view.model_fields}
