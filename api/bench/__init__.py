"""`confide bench`: Confide beside a bare floor, in one run, on servers of its own; ratios rather than records.

The database waits for its disk, every answer must be a success, and every read must be on the trail. While reads and
bookings are measured no relay and no worker runs; they are measured afterwards.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from http import HTTPStatus

from rich.console import Console

from api.bench import cases, report
from api.bench.arrival import measure_arrival, memory
from api.bench.decisions import decisions
from api.bench.hours import open_hours
from api.bench.load import find_wrk
from api.bench.place import Place, place
from api.bench.propagation import measure_propagation
from api.bench.report import Report, compared
from api.bench.rounds import Bench, Effort
from api.bench.trail import measure_pipeline, read_events
from core.clock import now
from core.embedded.home import write
from core.embedded.processes import ProcessError
from core.settings import Settings

WIDTH = 100
"""Columns of the table at least: a log has no width of its own."""


def run(chosen: Settings, *, as_json: bool = False, effort: Effort | None = None) -> int:
    """Measure, write `bench.json` under the home, show a table (or the JSON); return 0, or 1 and say why."""
    console = Console(stderr=as_json, highlight=False)
    console.width = max(console.width, WIDTH)
    try:
        with console.status("Starting") as status:
            found = _measure(chosen, effort or Effort(), status.update)
    except ProcessError as failure:
        console.print(f"[red]{failure}[/red]", soft_wrap=True)
        return 1
    text = json.dumps(found, indent=2)
    write(chosen.home / "bench.json", text)
    if as_json:
        sys.stdout.write(text + "\n")
        return 0
    console.print(report.table(found))
    for sentence in report.sentences(found):
        console.print(sentence, soft_wrap=True)
    console.print("Written to", chosen.home / "bench.json", soft_wrap=True)
    return 0


def _measure(chosen: Settings, effort: Effort, say: Callable[[str], None]) -> Report:
    home = chosen.home / "bench"
    home.mkdir(parents=True, exist_ok=True)
    wrk = find_wrk(chosen.home)
    with place(home) as here:
        bench = Bench(wrk, here, effort, say)
        found = _reads(bench) | _writes(bench)
        found["decision"] = decisions()
        say("publications")
        found["propagation"] = measure_propagation(here, effort.publications)
        say("outbox to ledger")
        pipeline = measure_pipeline(here, chosen.home)
        if pipeline.ran:
            say("answers to ledger")
            found |= {"arrival": measure_arrival(bench), "memory_mb": memory(here)}
        about = {
            "machine": report.machine(),
            "versions": _versions(here),
            "date": now().isoformat(),
        }
        return found | {"pipeline": asdict(pipeline)} | about


def _reads(bench: Bench) -> Report:
    """Compare reads, then count their events: fewer than answers would make it another thing that we measured."""
    many, filled = bench.effort.connections, bench.place.filled
    found = {
        "secured_read": compared(bench.compare(cases.reads(filled), connections=many), many),
        "secured_read_alone": compared(bench.compare(cases.reads(filled), connections=1), 1),
    }
    answered, events = bench.answered[cases.SECURED], read_events(bench.place)
    if events < answered:
        raise ProcessError(f"{answered} reads were answered, and {events} are on the trail")
    found["audit"] = {"reads": answered, "events": events}
    listed = bench.compare(cases.lists(filled), connections=many)
    return found | {"secured_list": compared(listed, many), "second_process": _second(bench)}


def _second(bench: Bench) -> Report:
    """Compare one API process with two, the load generator on the same cores."""
    one = cases.reads(bench.place.filled)[-1]
    two = replace(one, name="two processes", server="two")
    bench.place.serve("two", "api.cli", "serve", "--workers", "2")
    try:
        found = bench.compare([one, two], connections=bench.effort.connections)
    finally:
        bench.place.family.end("two")
    return report.doubled(found[one.name], found[two.name])


def _writes(bench: Bench) -> Report:
    many, filled = bench.effort.connections, bench.place.filled
    booked = bench.compare(cases.bookings(filled), connections=many)
    found = {"booking": compared(booked, many), "contested_slot": _contest(bench)}
    alone = bench.drive(cases.one_doctor(filled), connections=many, seconds=1)
    found["one_doctor"] = {"booked": alone.requests, "refused": alone.refused}
    # Last: a thousand doctors more are in nobody else's way.
    service = asyncio.run(open_hours(bench.place.settings))
    return found | {
        "slot_search": compared(bench.compare(cases.searches(filled, service), connections=1), 1)
    }


def _contest(bench: Bench) -> Report:
    """Have everybody want one slot: one gets it, all others are told so, and nobody hears of a fault of ours."""
    case, seconds = cases.contested(bench.place.filled), bench.effort.seconds
    driven = bench.drive(case, connections=bench.effort.racers, seconds=seconds, statuses=True)
    seen = dict(driven.statuses)
    booked, refused = (seen.pop(str(int(s)), 0) for s in (HTTPStatus.CREATED, HTTPStatus.CONFLICT))
    if booked != 1 or seen:
        raise ProcessError(f"one slot was booked {booked} times; other answers by status: {seen}")
    pace = driven.requests / driven.seconds
    return {
        "racers": bench.effort.racers,
        "booked": booked,
        "refused": refused,
        "requests_per_second": pace,
        "p99_ms": driven.p99_ms,
    }


def _versions(here: Place) -> Report:
    return asyncio.run(report.versions(here.settings.postgres_url))
