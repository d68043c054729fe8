"""What one step of a rotation comes to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """What one transaction achieved; `last` when it found nothing left to do."""

    done: int = 0
    failed: int = 0
    last: bool = False
