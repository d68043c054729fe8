"""Merge patches (RFC 7396), field by field."""

from typing import Any

from pydantic import BaseModel, ConfigDict

LEFT_OUT: Any = None
"""The default of a field that may be left out and may not be null."""


def _without_defaults(schema: dict[str, Any]) -> None:
    """A field that is left out of a patch stays as it is: it has no default."""
    for field in schema["properties"].values():
        field.pop("default", None)


class Patch(BaseModel):
    """A merge patch: what is left out stays, and null clears what may be empty."""

    model_config = ConfigDict(
        extra="forbid", str_strip_whitespace=True, json_schema_extra=_without_defaults
    )

    def changes(self) -> dict[str, Any]:
        """Return the fields that were sent."""
        return self.model_dump(exclude_unset=True)
