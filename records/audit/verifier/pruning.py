"""What an event says that announces a pruning, and which missing bodies it covers."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

FLOOR: Final = timedelta(days=6 * 365 + 2)
"""How long an event's body is kept at least (45 CFR 164.316, 164.528)."""
_WORD: Final = "before "


def statement(before: datetime) -> str:
    """Return the words of a pruning event."""
    return f"{_WORD}{before.astimezone(UTC):%Y-%m-%d}"


def covered(event: Mapping[str, Any]) -> str:
    """Return the id below which a pruning event accounts for missing bodies; "" if it accounts for none."""
    reason = event.get("reason") or ""
    if event.get("action") != "prune" or not reason.startswith(_WORD):
        return ""
    before = datetime.strptime(reason.removeprefix(_WORD), "%Y-%m-%d").replace(tzinfo=UTC)
    if datetime.fromisoformat(event["occurred_at"]) - before < FLOOR:
        return ""
    digits = f"{int(before.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"
