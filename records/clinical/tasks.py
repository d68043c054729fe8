"""The housekeeping of attachments."""

from celery import shared_task

from core.blobs import Blobs
from core.desk import desk
from core.settings import settings
from records.clinic import ROLE
from records.clinical.housekeeping import sweep


@shared_task(name="clinical.sweep")  # type: ignore[untyped-decorator]
def sweep_blobs() -> None:
    """Remove blobs that no attachment names any more."""
    here = desk(ROLE)
    here.run(_sweep())


async def _sweep() -> None:
    await sweep(desk(ROLE).database, Blobs(settings().attachments))
