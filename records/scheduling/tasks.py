"""The chores of the calendar. Each opens the clinic, does what is due, and closes it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from celery import shared_task

from core.crypto.keyring import open_provider
from core.database import Session
from core.settings import settings
from records import once
from records.clinic import Clinic
from records.scheduling.clockwork import lapse, mark_missed
from records.scheduling.letters import notifier
from records.scheduling.notices import tell
from records.scheduling.reminding import remind

Chore = Callable[[Session, Clinic], Awaitable[Any]]


@shared_task(name="scheduling.lapse")  # type: ignore[untyped-decorator]
def lapse_holds() -> None:
    """Let holds go that ran out."""
    _do(lapse)


@shared_task(name="scheduling.missed")  # type: ignore[untyped-decorator]
def mark_missed_visits() -> None:
    """Mark visits that nobody came to."""
    _do(mark_missed)


@shared_task(name="scheduling.remind")  # type: ignore[untyped-decorator]
def send_reminders() -> None:
    """Remind patients of visits that are near."""
    here = settings()
    asyncio.run(_open(lambda clinic: remind(clinic, here.time_zone, notifier(here))))


@shared_task(name="scheduling.tell")  # type: ignore[untyped-decorator]
def send_notices() -> None:
    """Tell patients what became of their visits, where there is a mail server."""
    here = settings()
    if here.smtp_url.get_secret_value():
        asyncio.run(
            _open(lambda clinic: tell(clinic, here.time_zone, here.mail_from, notifier(here)))
        )


@shared_task(name="once.forget")  # type: ignore[untyped-decorator]
def forget_keys() -> None:
    """Forget idempotency keys whose day is over."""
    _do(lambda session, _clinic: once.forget(session))


def _do(chore: Chore) -> None:
    async def work(clinic: Clinic) -> None:
        async with clinic.database.transaction() as session:
            await chore(session, clinic)

    asyncio.run(_open(work))


async def _open(work: Callable[[Clinic], Awaitable[Any]]) -> None:
    here = settings()
    async with Clinic.open(here.postgres_url, open_provider(here.kms), pool=2) as clinic:
        await work(clinic)
