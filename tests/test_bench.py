"""What `confide bench` asks of Confide and of the floor: each of its requests is answered well by either."""

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.bench import arrival, cases, cpu, floor, ledger
from api.bench.decisions import ENGINES, WHAT, WHO, WHY, others
from api.bench.fill import NOTES, PEOPLE, Filled, fill
from api.bench.hours import open_hours
from api.bench.report import compared, doubled
from api.bench.rounds import Case, Measured
from api.soak.memory import MOST, heaviest
from core.clock import now
from core.settings import Settings
from policies.enforcer import PolicySnapshot
from policies.rules import defaults
from policies.vocabulary import Action, Outcome
from records.audit.ledger import ROLE as LEDGER
from records.audit.ledger import store
from tests import engines
from tests.clinics import keyring, outbox
from tests.sealing import event, role


@dataclass(frozen=True)
class Place:
    filled: Filled
    apps: dict[str, FastAPI]
    url: str
    settings: Settings

    async def ask(self, case: Case, number: int = 0) -> httpx.Response:
        """Send one of a case's requests as wrk would."""
        method, path, *body = list(case.lines(1))[number].split(" ", 2)
        transport = httpx.ASGITransport(app=self.apps[case.server])
        headers = {"Authorization": f"Bearer {case.token}", "Content-Type": "application/json"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            return await http.request(method, path, headers=headers, content="".join(body))


@pytest.fixture
async def place(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    keyring(tmp_path)
    settings = Settings(home=tmp_path, environment="development", database_url=database_url)
    filled = await fill(settings)
    monkeypatch.setenv("CONFIDE_DATABASE_URL", database_url)
    monkeypatch.setenv("CONFIDE_DATABASE_POOL", "4")
    ours = create_app(settings)
    async with ours.router.lifespan_context(ours), floor.app.router.lifespan_context(floor.app):
        yield Place(filled, {"api": ours, "floor": floor.app}, database_url, settings)


async def test_every_request_is_answered_and_every_secured_read_is_on_the_trail(place: Place):
    for ask in (cases.reads, cases.lists, cases.bookings):
        for case in ask(place.filled):
            answer = await place.ask(case)
            assert answer.status_code in {200, 201}, f"{case.name}: {answer.text}"
    assert (await place.ask(cases.one_doctor(place.filled))).status_code == 201
    acts = [e["action"] for e in await outbox(place.url) if e["resource_type"] == "record"]
    assert acts.count("read") == 1
    assert acts.count("search") == 1


async def test_both_read_the_same_rows(place: Place):
    floor_read, _, secured_read = [
        (await place.ask(case)).json() for case in cases.reads(place.filled)
    ]
    floor_list, secured_list = [
        (await place.ask(case)).json()["items"] for case in cases.lists(place.filled)
    ]
    assert secured_read["content"] == floor_read["content"]
    assert secured_read["id"] == floor_read["id"]
    assert [r["id"] for r in secured_list] == [r["id"] for r in floor_list]
    assert len(secured_list) == NOTES


async def test_both_find_the_first_slots_of_the_same_doctors(place: Place):
    service = await open_hours(place.settings, doctors=3)
    bare, ours = [
        (await place.ask(case)).json()["items"] for case in cases.searches(place.filled, service)
    ]
    assert len(ours) == len(bare) == 20
    assert {s["doctor_id"] for s in ours} == {s["doctor_id"] for s in bare}
    assert all(s["service_id"] == service for s in ours)


async def test_a_contested_slot_is_booked_once(place: Place):
    contested = cases.contested(place.filled)
    assert [(await place.ask(contested)).status_code for _ in range(3)] == [201, 409, 409]


def test_neighbouring_bookings_want_different_doctors_patients_and_slots():
    filled = Filled(list(range(PEOPLE)), list(range(PEOPLE)), [], "", "")
    lines = list(cases.bookings(filled)[1].lines(1))
    assert len(set(lines)) == len(lines) > 1000
    assert len({line.split('"start"')[0] for line in lines[:PEOPLE]}) == PEOPLE


def test_ratios_are_to_the_floor_and_the_p99_is_ours():
    one = Measured(100, 50.0, 1.0, 4.0, 0.3, 0.1)
    bare = Measured(100, 100.0, 0.5, 2.0, 0.15, 0.05)
    found = compared({cases.FLOOR: bare, cases.SECURED: one}, 32)
    kept = ("requests_per_second", "floor", "ratio", "cpu_ratio", "p99_ms")
    assert [found[key] for key in kept] == [50.0, 100.0, 0.5, 2.0, 4.0]


def test_a_second_process_is_held_against_one_and_the_cores_that_were_left():
    one, two = Measured(100, 1000.0, 1.0, 4.0, 0.6, 0.3), Measured(100, 1500.0, 1.0, 4.0, 0.8, 0.4)
    found = doubled(one, two)
    assert (found["ratio"], found["cores_used"]) == (1.5, 1.8)


async def test_an_event_arrives_when_the_ledger_commits_it(database_url: str):
    """Here with the time of its insertion: the tests' server does not keep those of commits."""
    since = now() - timedelta(seconds=60)
    refused, decided = event(outcome=Outcome.DENY), now() - timedelta(seconds=2)
    async with role(database_url, LEDGER) as database:
        stored = [refused, event(occurred_at=decided), event(occurred_at=since)]
        await store(database, [e.body() for e in stored])
    connection = await asyncpg.connect(database_url)
    query = arrival._TOOK.replace("pg_xact_commit_timestamp(xmin)", "recorded_at")
    took = await connection.fetchrow(query, since)
    await connection.close()
    assert took["events"] == 1
    assert all(2000 <= ms < 10_000 for ms in took["ms"])


def test_memory_is_that_of_the_largest_process_and_its_most_is_no_less():
    assert 0 < heaviest(os.getpid()) <= heaviest(os.getpid(), MOST)


def test_cpu_seconds_of_this_very_process_are_seen_and_those_of_none_are_not():
    assert (cpu.seconds(os.getpid()) or 0) > 0
    assert cpu.seconds(2**22 + 1) is None


def test_the_decision_that_is_timed_is_an_allow_of_todays_rules():
    snapshot = PolicySnapshot.build(1, defaults())
    assert snapshot.decide(WHO, Action.READ, WHAT, WHY).allowed


@pytest.mark.parametrize("engine", engines.ENGINES.values())
def test_other_engines_are_asked_the_same_and_answer_yes(engine: Callable[..., Any]):
    assert Path(engines.__file__) == ENGINES
    ask = engine([*defaults(), *others(3)])
    assert ask() is True
    assert engine([r for r in defaults() if r.effect == "deny"])() is False


async def test_a_ledger_is_filled_and_any_filters_are_asked(database_url: str, tmp_path: Path):
    settings = Settings(home=tmp_path, environment="development", database_url=database_url)
    found = await ledger._measure(settings, 3000, lambda _: None)
    assert (found["events"], found["questions"]) == (3000, ledger.ASKED)
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["max_ms"]
    assert any(each["found"] for each in found["slowest"])
