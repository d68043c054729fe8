"""The chore behind simulations."""

from celery import shared_task

from core.desk import desk
from records.clinic import ROLE
from records.governance.simulating import work

SECONDS = 10.0
"""How long one wake-up works; other chores wait for so long."""


@shared_task(name="governance.simulate")  # type: ignore[untyped-decorator]
def simulate() -> None:
    """Go on with the simulations that were asked for."""
    here = desk(ROLE)
    here.run(work(here.database, SECONDS))
