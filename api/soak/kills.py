"""Who is killed when, by a seed; and the killing, with the times at which something was away."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from time import monotonic, sleep
from typing import Final

from api.soak.ground import Ground
from core.clock import now
from core.embedded.processes import ProcessError

PARTS: Final = ("postgres", "broker", "api", "worker", "relay", "sealer", "chores")
"""Everything there is, in the order in which it is brought back."""
MEASURED: Final = ("api", "worker")
CALM: Final = 300.0
"""Seconds of a run from which on its last third spares those whose memory is measured."""
GRACE: Final = 5.0
"""Seconds after a part has come back in which a refusal still is for want of it."""
NEEDED: Final = frozenset({"api", "postgres"})
"""Without these there may be answers 503; without any other there may not."""
NUMBERING: Final = frozenset({"api", "chores"})
"""Whose processes number events."""
MOMENT: Final = timedelta(seconds=5)
"""How long a write may take from its number to its commit."""
_BETWEEN: Final = 5.0
"""Seconds between two strikes on average; in a short run fewer, so that each part has its turn."""
_AWAY: Final = (0.0, 3.0)


@dataclass(frozen=True, slots=True)
class Strike:
    """Parts that are killed together, so many seconds after the begin, and how long they stay away."""

    at: float
    parts: tuple[str, ...]
    away: float


@dataclass(frozen=True, slots=True)
class Outage:
    """Parts that were away, by the monotonic clock; `struck` is when, by that on the wall."""

    parts: tuple[str, ...]
    since: float
    until: float
    struck: datetime

    def excuses(self, at: float, seconds: float) -> bool:
        """Tell whether a refusal at a time, after so many seconds, may come of it."""
        return bool(NEEDED & set(self.parts)) and (
            at >= self.since and at - seconds <= self.until + GRACE
        )

    def cut_off(self, at: datetime) -> bool:
        """Tell whether a number that was taken before a time may have been under way when its process was killed."""
        return (
            bool(NUMBERING & set(self.parts)) and self.struck - MOMENT <= at <= self.struck + MOMENT
        )


@dataclass(slots=True)
class Toll:
    """What was killed, and what ended by itself."""

    outages: list[Outage] = field(default_factory=list)
    fallen: list[str] = field(default_factory=list)


def plan(seed: int, seconds: float) -> Iterator[Strike]:
    """Yield the strikes of a run: each part in turn, in an order of chance, now and then two at once."""
    random = Random(seed)  # noqa: S311 - a choice, not a secret
    pause, at, bag = min(_BETWEEN, seconds / len(PARTS)), 0.0, list[str]()
    while (at := at + random.uniform(0.6, 1.4) * pause) < seconds - pause:
        bag = bag or random.sample(PARTS, len(PARTS))
        struck = tuple(bag.pop() for _ in range(min(len(bag), random.choice((1, 1, 2)))))
        yield Strike(at, struck, random.uniform(*_AWAY))


def spared(strike: Strike, at: float, seconds: float) -> Strike:
    """Return a strike that comes at a time without those who are spared then."""
    calm = seconds >= CALM and at > seconds * 2 / 3
    return replace(strike, parts=tuple(p for p in strike.parts if not (calm and p in MEASURED)))


def carry_out(
    ground: Ground, strikes: Iterator[Strike], seconds: float, say: Callable[[str], None]
) -> Toll:
    """Kill and bring back until the time is over; what ends by itself is brought back too, as a watchful operator does."""
    toll, began = Toll(), monotonic()
    for planned in strikes:
        while monotonic() - began < planned.at:
            sleep(0.2)
            _revive(ground, toll)
        at = monotonic() - began
        strike = spared(planned, at, seconds)
        if at > seconds:
            break
        if strike.parts:
            say(f"{at:4.0f} s  killed: {', '.join(strike.parts)}")
            toll.outages.append(_struck(ground, strike))
    while monotonic() - began < seconds:
        sleep(0.2)
        _revive(ground, toll)
    return toll


def _struck(ground: Ground, strike: Strike) -> Outage:
    since, struck = monotonic(), now()
    for part in strike.parts:
        ground.kill(part)
    sleep(strike.away)
    for part in sorted(strike.parts, key=PARTS.index):
        ground.start(part)
    if NEEDED & set(strike.parts):
        _await_readiness(ground)
    return Outage(strike.parts, since, monotonic(), struck)


def _await_readiness(ground: Ground) -> None:
    deadline = monotonic() + 60
    while not ground.is_ready():
        if monotonic() > deadline:
            raise ProcessError("the API did not become ready again within a minute")
        sleep(0.1)


def _revive(ground: Ground, toll: Toll) -> None:
    for name in ground.fallen():
        toll.fallen.append(name)
        ground.start(name)
