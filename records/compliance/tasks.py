"""The chores of those who check: exports are gathered, the rules look for snooping."""

from celery import shared_task

from core.desk import desk
from records.clinic import ROLE
from records.compliance import alerts, exports


@shared_task(name="compliance.gather")  # type: ignore[untyped-decorator]
def gather() -> None:
    """Gather the exports that wait."""
    here = desk(ROLE)
    here.run(exports.gather(here.database))


@shared_task(name="compliance.look")  # type: ignore[untyped-decorator]
def look() -> None:
    """Look for what is worth an alert."""
    here = desk(ROLE)
    here.run(alerts.look(here.database))
