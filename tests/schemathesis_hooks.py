"""What Schemathesis cannot know of the API: loaded by it, not by pytest."""

from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode

DATED = ("day", "from", "to")


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Leave out what is well formed and yet refused: a cursor that was made up, for it is signed; a day of no living clinic."""
    if case.query and case.meta and case.meta.generation.mode is GenerationMode.POSITIVE:
        case.query.pop("cursor", None)
        for name in DATED:
            if not "1800" <= str(case.query.get(name, "2000"))[:4] < "3000":
                case.query.pop(name)
