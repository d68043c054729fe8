"""Chores: woken from time to time, told nothing, and able to find their work by themselves."""

import os
from datetime import timedelta
from inspect import signature
from pathlib import Path

import pytest
from celery.beat import ScheduleEntry, Scheduler, SchedulingError

from core.broker import CHORES, celery_app, declare, every
from core.clock import now
from core.embedded import rabbitmq
from core.embedded.processes import Family
from records.base import add
from records.clinic import Clinic
from records.identity import sessions
from records.identity.housekeeping import KEPT, forget_expired
from records.identity.models import OAuthCode
from tests.clinics import open_clinic, populate
from tests.servers import require_rabbitmq


@pytest.fixture
def schedule(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONFIDE_BROKER_URL", "memory://")
    from core.settings import settings

    settings.cache_clear()
    from records.worker import app

    yield app.conf.beat_schedule, app.tasks
    settings.cache_clear()


def test_every_chore_is_a_known_task_on_the_queue_of_chores_and_takes_no_argument(schedule):
    entries, tasks = schedule
    assert entries
    for entry in entries.values():
        assert entry["options"]["queue"] == CHORES
        assert not signature(tasks[entry["task"]].run).parameters
        assert entry["options"]["expires"] == entry["schedule"], "wake-ups must not pile up"


def test_chores_are_woken_again_when_the_broker_was_killed_and_is_back(home: Path):
    family, installation = Family(home), require_rabbitmq()

    def start_broker() -> None:
        rabbitmq.await_ready(home, rabbitmq.start(home, family, installation))

    try:
        start_broker()
        app = celery_app(rabbitmq.url(home), home)
        declare(app)
        beat = Scheduler(app, lazy=True)
        entry = ScheduleEntry("keys", app=app, **every(2, "keys.rotate"))
        beat.apply_async(entry, producer=beat.producer)
        broker = family.children["broker"].process
        os.killpg(broker.pid, 9), broker.wait()
        with pytest.raises(SchedulingError):
            beat.apply_async(entry, producer=beat.producer)
        start_broker()
        beat.apply_async(entry, producer=beat.producer)
        beat.connection.close()
    finally:
        family.stop("broker", "epmd")


async def test_an_expired_login_is_forgotten_and_a_living_one_is_not(
    database_url: str, tmp_path: Path
):
    async with open_clinic(database_url, tmp_path) as clinic:
        people = await populate(clinic)
        await login(clinic, people.adams.subject.id, timedelta(hours=1))
        await login(clinic, people.baker.subject.id, -KEPT - timedelta(hours=1))
        await forget_expired(clinic.database)
        assert len(await sessions.alive(clinic.database, people.adams.subject.id)) == 1
        left = await clinic.database.select(table_count())
        assert left[0]["sessions"] == 1
        assert left[0]["codes"] == 1


async def login(clinic: Clinic, account_id, life: timedelta) -> None:
    async with clinic.database.transaction() as session:
        family = await sessions.start(session, account_id, "confide-cli", "openid", life)
        code = OAuthCode(
            code_hash=family.id.bytes * 2,
            client_id="confide-cli",
            account_id=account_id,
            redirect_uri="http://127.0.0.1/callback",
            challenge="x",
            expires_at=now() + life,
            session_id=family.id,
        )
        await add(session, code)
        await sessions.renew(session, family)


def table_count():
    from sqlalchemy import text

    return text(
        "SELECT (SELECT count(*) FROM oauth_session) AS sessions, (SELECT count(*) FROM oauth_code) AS codes"
    )
