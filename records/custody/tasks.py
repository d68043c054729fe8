"""The chore behind rotations."""

from celery import shared_task

from core.desk import desk
from records.custody.rotation import ROLE, work

SECONDS = 10.0
"""How long one wake-up works; other chores wait for so long."""


@shared_task(name="keys.rotate")  # type: ignore[untyped-decorator]
def rotate() -> None:
    """Go on with the oldest open rotation."""
    here = desk(ROLE)
    here.run(work(here.database, here.keys, SECONDS))
