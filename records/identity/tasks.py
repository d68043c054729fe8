"""The housekeeping of logins."""

from celery import shared_task

from core.desk import desk
from records.clinic import ROLE
from records.identity.housekeeping import forget_expired


@shared_task(name="identity.sweep")  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Forget codes and refresh tokens that could not be used, nor recognised as used, any more."""
    here = desk(ROLE)
    here.run(forget_expired(here.database))
