"""The judgement: what was promised is held against what is there, through the API and in the database."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, Final

from api.soak.caller import Answer, Caller, pages
from api.soak.ground import FIRST, Ground
from api.soak.kills import Outage
from api.soak.memory import LIMITS, STEEPEST, Curve
from api.soak.office import Done
from core.embedded.processes import ProcessError
from core.pool import alone
from records.scheduling.models import BLOCKING

_TWICE: Final = """
SELECT count(*) FROM (
  SELECT starts_at, max(ends_at) OVER (
    PARTITION BY {who} ORDER BY starts_at, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS engaged
  FROM appointment WHERE {blocking} AND session_id IS NULL AND {who} IS NOT NULL AND {where}) AS visits
WHERE starts_at < engaged
"""
_WHO: Final = {"doctor_id": "true", "person_id": "true", "location_id": "exclusive"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One promise: how much was looked at, and what was wrong."""

    promise: str
    looked_at: str
    wrong: Sequence[str]

    @property
    def kept(self) -> bool:
        """Whether it was."""
        return not self.wrong


def judged_trail(found: dict[str, Any], outages: Sequence[Outage]) -> Iterator[Verdict]:
    """Judge what the ledger has."""
    lost = Counter(found["missing"])
    yield Verdict(
        "every answer has its event",
        f"{found['answers']} answers, {found['events']} events",
        [f"{act}: {count} without" for act, count in lost.items()],
    )
    yield Verdict("no event is there twice", f"{found['events']} events", _some(found, "doubled"))
    gaps = found["gaps"]
    lasting = [g for g in gaps if not (g["at"] and any(o.cut_off(g["at"]) for o in outages))]
    yield Verdict(
        "every number is there, or void",
        f"{len(gaps) - len(lasting)} cut off by a kill",
        [f"{gap['boot']}: {gap['first']}-{gap['last']}" for gap in lasting],
    )
    yield Verdict("every event has its place", "", _some(found, "unlike"))
    yield Verdict("no batch was refused", "", _some(found, "refused"))


def judged_answers(answers: Sequence[Answer], outages: Sequence[Outage]) -> Iterator[Verdict]:
    """Judge how requests were answered: with a fault of ours never, with 503 only while something is away."""
    faults = Counter(f"{a.act}: {a.status} {a.code}" for a in answers if a.status >= 500)  # noqa: PLR2004
    yield Verdict(
        "no fault of ours",
        f"{len(answers)} answers",
        [f"{n} of {what}" for what, n in faults.items() if ": 503 " not in what],
    )
    refused = [a for a in answers if a.status == 503]  # noqa: PLR2004
    alone = [a for a in refused if not any(o.excuses(a.at, a.seconds) for o in outages)]
    yield Verdict(
        "503 only while something is away",
        f"{len(refused)} refused",
        [f"{n} of {what}" for what, n in Counter(f"{a.act} {a.code}" for a in alone).items()],
    )


def judged_office(caller: Caller, done: Done, patience: float) -> Iterator[Verdict]:
    """Judge whether the rules that were published are there, and whether every rotation came to its end."""
    versions = {v["version"] for v in pages(caller, "list rules", FIRST, "/v1/policies/versions")}
    lost = [f"version {n}" for n in done.versions if n not in versions]
    yield Verdict("no publication is lost", f"{len(done.versions)} published", lost)
    faults = ((each, _fault(caller, each, patience)) for each in done.rotations)
    wrong = [f"{rotation}: {fault}" for rotation, fault in faults if fault]
    yield Verdict("every rotation came to its end", f"{len(done.rotations)} begun", wrong)


def _fault(caller: Caller, rotation: str, patience: float) -> str:
    """Return what is wrong with a rotation; nothing when it has ended well. It is waited for as long as it gets on."""
    most, deadline = -1, monotonic()
    while True:
        said = caller.surely("read rotation", FIRST, "GET", f"/v1/keys/rotations/{rotation}")
        if said is None or not said[0].good:
            return "not there"
        state = said[1]
        if state["state"] == "done":
            return f"{state['failed']} failed" if state["failed"] else ""
        if state["done"] > most:
            most, deadline = state["done"], monotonic() + patience
        elif monotonic() > deadline:
            return "open"
        sleep(1)


def judged_command(ground: Ground, *argv: str) -> Verdict:
    """Judge by what a command of ours says."""
    name = " ".join(argv)
    try:
        ground.stack.family.run("-".join(argv), ground.stack.confide(*argv), seconds=300)
    except ProcessError as failure:
        return Verdict(f"`confide {name}` finds nothing", "", [str(failure)])
    return Verdict(f"`confide {name}` finds nothing", "", [])


def judged_calendar(ground: Ground) -> Verdict:
    """Judge whether anybody or anything is booked twice."""
    return Verdict("nobody is booked twice", "", asyncio.run(_booked_twice(ground.url)))


async def _booked_twice(url: str) -> list[str]:
    async with alone(url) as connection:
        found = {
            who: await connection.fetchval(_TWICE.format(who=who, where=where, blocking=BLOCKING))
            for who, where in _WHO.items()
        }
    return [f"{who}: {count}" for who, count in found.items() if count]


def judged_memory(curves: dict[str, Curve], since: float | None) -> Iterator[Verdict]:
    """Judge whether memory stays within its limits, and flat where the run was long enough to tell."""
    for part, curve in curves.items():
        wrong = [f"{curve.peak:.0f} MB"] if curve.peak > LIMITS[part] else []
        growth = None if since is None else curve.slope(since)
        if growth is not None and growth > STEEPEST:
            wrong.append(f"grows by {growth:.1f} MB a minute")
        told = "" if growth is None else f", {growth:+.1f} MB a minute"
        yield Verdict(f"memory of the {part}", f"at most {curve.peak:.0f} MB{told}", wrong)


def _some(found: dict[str, Any], name: str) -> list[str]:
    return [str(found[name])] if found[name] else []
