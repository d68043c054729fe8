"""`confide soak`: a clinic at work while its parts are killed at random; then every promise is held against what is there.

A whole stack of its own runs in a folder of its own. Clients read, list, search, book, move, cancel and write; administrators
publish rules and turn keys; and a seed decides which part is killed when. In the end the outbox must run empty, and the
judge looks: at the ledger, at every write that was acknowledged or refused, at the calendar, at memory and at the logs.
"""

import asyncio
import json
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from random import SystemRandom
from time import monotonic
from typing import Any

from rich.console import Console

from api.soak import judge, kills, report, trail
from api.soak.caller import Caller, Diary
from api.soak.ground import Ground, ground
from api.soak.judge import Verdict
from api.soak.keeping import judged_writes
from api.soak.kills import Toll
from api.soak.load import CLIENTS, Client, House, look_around
from api.soak.memory import Scales, calm
from api.soak.office import Office
from api.soak.promises import WORD
from core.embedded.home import write
from core.embedded.processes import ProcessError
from core.settings import Settings

GOOD, BROKEN, NOT_RUN = 0, 1, 2
WIDTH = 110
LAST = 60.0
"""Seconds after the load for which clients go on asking what became of what they had asked."""
EMPTY = 120.0
"""Seconds within which the outbox is empty and everything sealed."""
SHORT = 5
"""Letters up to which a name is not looked for."""
SETTLED = 10.0
"""Seconds within which the chores get on with the last rotation, if it has not ended: the more was written, the longer it takes."""


def run(chosen: Settings, minutes: float, seed: int | None, *, as_json: bool = False) -> int:
    """Run a soak and tell what it found; return 0 when all is good, 1 when a promise was broken, 2 when it could not run."""
    console = Console(stderr=as_json, highlight=False)
    console.width = max(console.width, WIDTH)
    seed = SystemRandom().randrange(10**9) if seed is None else seed
    console.print(f"Seed {seed}, {minutes:g} minutes, in", chosen.home / "soak", soft_wrap=True)
    try:
        with ground(chosen.home / "soak", chosen.home, console) as here:
            found = {"seed": seed, "minutes": minutes} | _soak(here, minutes * 60, seed, console)
    except ProcessError as failure:
        console.print(f"[red]{failure}[/red]", soft_wrap=True)
        return NOT_RUN
    text = json.dumps(found, indent=2, default=str)
    write(chosen.home / "soak.json", text)
    if as_json:
        sys.stdout.write(text + "\n")
    else:
        for table in report.tables(found):
            console.print(table)
        console.print("Written to", chosen.home / "soak.json", soft_wrap=True)
    return GOOD if found["kept"] else BROKEN


def _soak(here: Ground, seconds: float, seed: int, console: Console) -> report.Report:
    diary = Diary()
    house = look_around(Caller(here, diary))
    clients = [Client(number, seed, house, here, diary) for number in range(CLIENTS)]
    office, scales = Office(here, diary), Scales(here, diary.over)
    workers = [*clients, office, scales]
    for worker in workers:
        worker.start()
    try:
        toll = kills.carry_out(here, kills.plan(seed, seconds), seconds, console.print)
    finally:
        diary.over.set()
        _wind_up(diary, workers)
    took = asyncio.run(trail.drained(here.url, EMPTY))
    console.print(f"The outbox ran empty, and all was sealed, after {took:.1f} s")
    verdicts = list(_judged(here, diary, house, clients, office, toll))
    verdicts += judge.judged_memory(scales.curves, calm(seconds))
    found = report.reported(verdicts, diary.answers, toll)
    return found | {"drained_seconds": took, "unanswered": diary.unanswered}


def _wind_up(diary: Diary, workers: list[Any]) -> None:
    """Let everybody find out what became of their last request, for so long at most."""
    deadline = monotonic() + LAST
    for worker in workers:
        worker.join(max(0.0, deadline - monotonic()))
    diary.hopeless.set()
    for worker in workers:
        worker.join()


def _judged(
    here: Ground, diary: Diary, house: House, clients: list[Client], office: Office, toll: Toll
) -> Iterator[Verdict]:
    answers = list(diary.answers)
    caller = Caller(here, Diary())
    yield from judge.judged_answers(answers, toll.outages)
    yield from judge.judged_office(caller, office.done, SETTLED)
    yield from judged_writes(caller, house, [client.promised for client in clients])
    yield judge.judged_calendar(here)
    asyncio.run(trail.drained(here.url, EMPTY))
    yield from judge.judged_trail(asyncio.run(trail.examined(here.url, answers)), toll.outages)
    yield judge.judged_command(here, "audit", "verify")
    yield judge.judged_command(here, "verify", "records")
    words = {WORD, *(patient["name"]["family"] for patient in house.patients)}
    yield Verdict("no word of it in the logs", "", list(_spoken(here.stack.family.logs, words)))


def _spoken(logs: Path, words: Collection[str]) -> Iterator[str]:
    """Yield the logs in which something stands that is kept sealed; a short name may be part of another word."""
    for file in sorted(logs.iterdir()):
        text = file.read_bytes()
        if any(word.encode() in text for word in words if len(word) > SHORT):
            yield file.name
