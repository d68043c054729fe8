"""`confide soak`: no promise is broken while parts of the clinic are killed; and the judge sees one that is.

The load takes a minute here; CONFIDE_SOAK_MINUTES=10 makes it a soak.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from weakref import ref

import pytest
from celery.worker.consumer import Consumer as CeleryConsumer

from api.soak import NOT_RUN, judge, run
from api.soak.caller import Answer
from api.soak.keeping import wrong_records, wrong_visits
from api.soak.kills import CALM, GRACE, PARTS, Outage, Strike, plan, spared
from api.soak.memory import Curve
from api.soak.promises import WORD, Note, Visit
from api.soak.trail import examined
from core.clock import now
from core.consumer import Consumer
from core.embedded.home import lock
from core.ids import new_id
from core.settings import Settings
from policies.vocabulary import ResourceType
from records.audit import ledger
from records.audit.event import Act, Stamp
from tests.clinics import open_clinic, populate
from tests.sealing import event, role
from tests.servers import confide, execute, require_rabbitmq

MINUTES = float(os.environ.get("CONFIDE_SOAK_MINUTES", "1"))
START = "2027-01-04T09:00:00Z"


async def test_every_promise_is_kept_while_parts_are_killed(
    home: Path, record_property: Callable[[str, object], None]
):
    fetched = require_rabbitmq().server
    root = next((folder for folder in fetched.parents if folder.name == "rabbitmq"), None)
    if root and (root / ".packages").exists():
        (home / "rabbitmq").symlink_to(root)
    command = "soak", "--minutes", str(MINUTES), "--json"
    done = await asyncio.to_thread(confide, "", home, *command)
    assert done.returncode in {0, 1}, done.stderr
    found = json.loads(done.stdout)
    record_property("measured", f"seed {found['seed']}, killed {found['killed']}")
    broken = [p for p in found["promises"] if not p["kept"]]
    assert broken == [], f"seed {found['seed']}: {broken}"
    assert found == json.loads((home / "soak.json").read_text())
    asked = found["requests"]
    for act in ("book", "write record", "read record"):
        assert asked[act]["good"] > 0, act
    assert sum(found["killed"].values()) > 0


def test_a_soak_that_cannot_run_says_so(home: Path, capsys: pytest.CaptureFixture[str]):
    with lock(home / "soak"):
        assert run(Settings(home=home), 1, 7) == NOT_RUN
    assert "already runs" in capsys.readouterr().out


def test_a_seed_says_who_is_killed_when():
    strikes = list(plan(7, 600))
    assert strikes == list(plan(7, 600)) != list(plan(8, 600))
    assert {part for strike in strikes for part in strike.parts} == set(PARTS)
    for seconds in (24, 60, CALM - 1):
        assert {part for s in plan(7, seconds) for part in s.parts} == set(PARTS)


def test_in_the_last_third_of_a_long_run_those_are_spared_whose_memory_is_measured():
    strike = Strike(100, ("api", "relay"), 1)
    assert spared(strike, 399, 600) == strike
    assert spared(strike, 401, 600).parts == ("relay",)
    assert spared(strike, 59, 60) == strike


def test_a_refusal_is_excused_by_what_was_away_and_by_nothing_else():
    outages = [Outage(("relay",), 10, 12, now()), Outage(("postgres", "chores"), 20, 22, now())]
    refused = [Answer("book", 503, "unavailable", "", at, 0.5) for at in (11, 21, 22 + GRACE + 1)]
    _, alone = judge.judged_answers(refused, outages)
    assert alone.wrong == ["2 of book unavailable"]
    fault, _ = judge.judged_answers([Answer("book", 500, "internal", "", 21, 0.5)], outages)
    assert not fault.kept


def test_a_missing_number_is_excused_by_the_kill_that_cut_it_off_and_by_nothing_else():
    sound = {"answers": 1, "events": 9, "missing": [], "doubled": 0, "unlike": 0, "refused": 0}

    def numbers(at: datetime, *parts: str) -> judge.Verdict:
        gap = {"boot": "b", "first": 4, "last": 4, "at": at}
        outages = [Outage(parts, 0, 1, now())]
        verdicts = judge.judged_trail(sound | {"gaps": [gap]}, outages)
        return next(v for v in verdicts if v.promise.startswith("every number"))

    assert numbers(now() - timedelta(seconds=1), "api").kept
    assert not numbers(now() - timedelta(seconds=1), "relay").kept
    assert not numbers(now() - timedelta(minutes=1), "api").kept


async def test_a_missing_number_before_a_void_one_is_told_the_time_of_what_came_next(
    database_url: str,
):
    """0 is there, 1 was cut off, 2 is void by what 3 says."""
    boot = new_id()
    void = event(action=Act.VOID, reason="2", resource_type=ResourceType.AUDIT_EVENT)
    async with role(database_url, ledger.ROLE) as database:
        stamped = [event().body(Stamp(boot, 0)), void.body(Stamp(boot, 3))]
        await ledger.store(database, stamped)
    (gap,) = (await examined(database_url, []))["gaps"]
    assert (gap["boot"], gap["first"], gap["last"]) == (boot, 1, 1)
    assert gap["at"] == void.occurred_at


def test_an_answer_without_its_event_is_seen():
    found = {"answers": 2, "events": 1, "missing": ["book"], "doubled": 0, "gaps": [], "unlike": 0}
    first, *others = judge.judged_trail(found | {"refused": 0}, [])
    assert first.wrong == ["book: 1 without"]
    assert all(v.kept for v in others)


def test_a_booking_that_is_lost_doubled_or_half_there_is_seen():
    def visit(number: int, made: str, **more: object) -> Visit:
        status, version = ("booked", 1) if made else ("", 0)
        return Visit(
            f"{WORD} 0-{number}", "p", "d", START, id=made, status=status, version=version,
            **{"unsure": False, **more},
        )  # fmt: skip

    def shown(visit: Visit, **other: object) -> dict[str, object]:
        there = {"id": visit.id or "x", "reason": visit.word, "status": "booked", "version": 1}
        return there | {"start": START} | other

    kept, lost, refused, unsure = (
        visit(1, "a"),
        visit(2, "b"),
        visit(3, ""),
        visit(4, "", unsure=True),
    )
    every = [kept, lost, refused, unsure]
    assert list(wrong_visits([kept, refused, unsure], [shown(kept)])) == []
    assert len(list(wrong_visits(every, [shown(kept), shown(unsure)]))) == 1
    assert len(list(wrong_visits(every, [shown(kept), shown(lost), shown(refused)]))) == 2
    assert list(wrong_visits([kept], [shown(kept), shown(kept, id="c")]))
    assert list(wrong_visits([kept], [shown(kept, status="cancelled")]))
    nobody = visit(5, "", contested=True)
    assert list(wrong_visits([nobody], []))


def test_a_record_that_is_lost_doubled_changed_or_half_there_is_seen():
    kept, refused = (
        Note(f"{WORD} 0-1", "p", "a", unsure=False),
        Note(f"{WORD} 0-2", "p", unsure=False),
    )
    shown = {"id": "a", "title": kept.title, "content": {"text": kept.text}}
    half = {"id": "b", "title": refused.title, "content": {"text": refused.text}}
    assert list(wrong_records([kept, refused], [shown])) == []
    assert list(wrong_records([kept], []))
    assert list(wrong_records([kept], [shown, shown]))
    assert list(wrong_records([kept], [shown | {"content": {"text": ""}}]))
    assert list(wrong_records([kept, refused], [shown, half]))


async def test_who_is_booked_twice_is_seen(database_url: str, tmp_path: Path):
    async with open_clinic(database_url, tmp_path) as clinic:
        await populate(clinic)
    assert await judge._booked_twice(database_url) == []
    drop = "ALTER TABLE appointment DROP CONSTRAINT"
    for name in ("doctor_taken", "patient_taken"):
        await execute(database_url, f"{drop} {name}")
    other = "jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid()))"
    await execute(database_url, f"INSERT INTO appointment SELECT ({other}).* FROM appointment a")
    assert await judge._booked_twice(database_url) == ["doctor_id: 1", "person_id: 1"]


def test_garbage_in_cycles_is_found_soon_however_much_was_loaded():
    script = """
import gc
from core.garbage import settle
loaded = [[n] for n in range(100_000)]
settle()
before, kept = gc.get_stats()[2]["collections"], []
for n in range(100_000):
    kept.append([kept])
    if len(kept) > 2000:
        kept = []
print(gc.get_stats()[2]["collections"] - before)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert int(done.stdout) > 0


def test_a_worker_that_connects_anew_lets_go_of_the_connection_before(
    monkeypatch: pytest.MonkeyPatch,
):
    class Lost:
        """What hangs in a cycle."""

    lost = Lost()
    lost.itself = lost  # type: ignore[attr-defined]
    seen = ref(lost)
    monkeypatch.setattr(CeleryConsumer, "connect", lambda _: seen())
    gc.disable()
    try:
        del lost
        assert Consumer.connect(object.__new__(Consumer)) is None
    finally:
        gc.enable()


def test_memory_that_grows_while_all_is_calm_is_seen():
    flat = Curve([float(n) for n in range(100)], [120.0] * 100)
    leak = Curve(flat.at, [120 + n / 10 for n in range(100)])
    assert [v.kept for v in judge.judged_memory({"api": flat, "worker": leak}, 50)] == [True, False]
    assert [v.kept for v in judge.judged_memory({"worker": leak}, None)] == [True]
