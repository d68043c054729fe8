"""What Schemathesis cannot know of the API: loaded by it, not by pytest."""

from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """A cursor is signed: one that was made up is none, though the schema allows it."""
    positive = case.meta and case.meta.generation.mode is GenerationMode.POSITIVE
    if positive and case.query and "cursor" in case.query:
        case.query.pop("cursor")
