"""What was measured, as `bench.json` and as a table."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from api.bench.cases import FLOOR, SECURED
from api.bench.rounds import Measured
from core.pool import alone

PACKAGES = (
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "asyncpg",
    "orjson",
    "sqlalchemy",
)
Report = dict[str, Any]


def compared(found: Mapping[str, Measured], connections: int) -> Report:
    """Return Confide's figures beside the floor's. CPU is in seconds for 1,000 requests, server and database."""
    ours, floor = found[SECURED], found[FLOOR]
    return {
        "concurrency": connections,
        "requests_per_second": _short(ours.requests_per_second),
        "floor": _short(floor.requests_per_second),
        "ratio": _ratio(ours.requests_per_second, floor.requests_per_second),
        "cpu_ratio": _ratio(ours.cpu, floor.cpu),
        "p50_ms": _short(ours.p50_ms),
        "p99_ms": _short(ours.p99_ms),
        "p99_ratio": _ratio(ours.p99_ms, floor.p99_ms),
        "cases": {name: _rounded(asdict(m) | {"cpu": m.cpu}) for name, m in found.items()},
    }


def doubled(one: Measured, two: Measured) -> Report:
    """Return what a second API process adds, and how many cores the servers had: the load has the rest."""
    return {
        "one": _short(one.requests_per_second),
        "two": _short(two.requests_per_second),
        "ratio": _ratio(two.requests_per_second, one.requests_per_second),
        "cores_used": two.cores and _short(two.cores),
        "cores": os.cpu_count(),
    }


def machine() -> Report:
    """Return what this ran on, and what else was running on it."""
    load = os.getloadavg()[0]
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "load": load,
    }


async def versions(url: str) -> Report:
    """Return the versions of what was measured, and whether the database waits for its disk."""
    async with alone(url) as connection:
        names = ("server_version", "synchronous_commit", "fsync")
        shown = [await connection.fetchval(f"SHOW {name}") for name in names]
    server, commit, fsync = shown
    return {
        "python": platform.python_version(),
        "postgresql": server,
        "synchronous_commit": commit,
        "fsync": fsync,
        **{name: version(name) for name in PACKAGES},
    }


def table(report: Report) -> Table:
    """Return the comparisons as a table, one line a case."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    shown.add_column("", no_wrap=True)
    for heading in ("req/s", "ratio", "p50 ms", "p99 ms", "CPU", "DB CPU", "CPU ratio"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for name, title in TITLES.items():
        if name in report:
            _section(shown, title, report[name])
    shown.caption = (
        "medians of interleaved rounds; CPU seconds for 1,000 requests; ratios to the floor"
    )
    return shown


TITLES = {
    "secured_read": "one record",
    "secured_read_alone": "one record",
    "secured_list": "list of 20 records",
    "booking": "booking",
    "slot_search": "first 20 slots of 1,000 doctors in 31 days",
}


def _section(shown: Table, title: str, part: Report) -> None:
    shown.add_row(f"[bold]{title}, {part['concurrency']} at once[/bold]")
    floor = part["cases"][FLOOR]
    for name, case in part["cases"].items():
        figures = [
            case["requests_per_second"],
            _ratio(case["requests_per_second"], floor["requests_per_second"]),
        ]
        figures += [case["p50_ms"], case["p99_ms"], case["server_cpu"], case["database_cpu"]]
        shown.add_row(f"  {name}", *map(_text, [*figures, _ratio(case["cpu"], floor["cpu"])]))
    shown.add_section()


def sentences(report: Report) -> Sequence[str]:
    """Return what a table does not say: the races, the trail, the pipeline."""
    race, one, audit = report["contested_slot"], report["one_doctor"], report["audit"]
    two = report["second_process"]
    contest = f"{race['booked']} booked, {race['refused']} refused, p99 {_text(race['p99_ms'])} ms"
    return [
        f"One slot for {race['racers']} at once: {contest}",
        f"Distinct slots of one doctor: {one['booked']} booked, {one['refused']} refused",
        f"Reads answered {audit['reads']}, audit events of them on disk {audit['events']}",
        f"One decision, µs of CPU by the number of rules about other things: {_costs(report)}",
        published(report["propagation"]),
        f"Two API processes: {_text(two['ratio'])} of one's reads, with PostgreSQL on {_text(two['cores_used'])} of {two['cores']} cores",
        f"From the outbox to the ledger: {_pace(report['pipeline'])}",
        *_arrived(report),
    ]


def published(found: Report) -> str:
    """Return how soon published rules are in force."""
    return (
        f"Published rules are in force in all {found['processes']} processes after p50 {found['p50_ms']} ms, "
        f"p99 {found['p99_ms']} ms, at most {found['slowest_ms']} ms ({found['publications']} publications)"
    )


def _costs(report: Report) -> str:
    found = report["decision"]
    engines = {"Confide": found["microseconds_by_unrelated_rules"], **found["others"]}
    costs = [
        f"{name} {', '.join(f'{rules}: {cost}' for rules, cost in by_rules.items())}"
        for name, by_rules in engines.items()
    ]
    return "; ".join([*costs, f"Confide, asked again {found['microseconds_remembered']}"])


def _pace(pipeline: Mapping[str, Any]) -> str:
    if not pipeline["ran"]:
        return f"not run, {pipeline['note']}"
    return (
        f"{_text(pipeline['events_per_second'])} events/s ({pipeline['note']}), "
        f"{_text(pipeline['ratio'])} of a multi-row INSERT's {_text(pipeline['floor'])}"
    )


def _arrived(report: Report) -> list[str]:
    """Say how soon events can be asked for, and what memory that took, where it was measured."""
    found, memory = report.get("arrival"), report.get("memory_mb", {})
    said = []
    if found:
        pace = f"{_text(found['reads_per_second'])} reads/s, {found['events']} events"
        took = f"p50 {found['p50_ms']} ms, p99 {found['p99_ms']} ms"
        said.append(f"From a decision to its event in the ledger ({pace}): {took}")
    if memory:
        most = ", ".join(f"{name} {megabytes:.0f} MB" for name, megabytes in memory.items())
        said.append(f"Memory at most, after all this: {most}")
    return said


def _rounded(figures: Mapping[str, Any]) -> Report:
    return {k: _short(v) if isinstance(v, float) else v for k, v in figures.items()}


def _ratio(ours: float | None, floor: float | None) -> float | None:
    return round(ours / floor, 3) if ours is not None and floor else None


def _short(value: float) -> float:
    return round(value, 3)


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"  # noqa: PLR2004


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")
