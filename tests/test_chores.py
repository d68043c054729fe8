"""Chores: woken from time to time, told nothing, and able to find their work by themselves."""

from datetime import timedelta
from inspect import signature
from pathlib import Path

import pytest

from core.broker import CHORES
from core.clock import now
from records.base import add
from records.clinic import Clinic
from records.identity import sessions
from records.identity.housekeeping import KEPT, forget_expired
from records.identity.models import OAuthCode
from tests.clinics import open_clinic, populate


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
