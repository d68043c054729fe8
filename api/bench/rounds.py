"""Rounds: every case of a comparison in turn, again and again, so that what disturbs one disturbs all."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from api.bench.load import Driven, Wrk, write_lines
from api.bench.place import Place
from core.embedded.processes import ProcessError

WARM_UP = 1


@dataclass(frozen=True, slots=True)
class Effort:
    """How many rounds of how many seconds each, and how many connections when there are many; how many publications."""

    rounds: int = 3
    seconds: int = 3
    connections: int = 32
    racers: int = 200
    publications: int = 200


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request at one server; `lines` makes the requests of a round of so many seconds."""

    name: str
    server: str
    lines: Callable[[int], Iterator[str]]
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians over the rounds of a case. CPU is in seconds for 1,000 requests, None where it is not ours to see."""

    requests: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    server_cpu: float | None
    database_cpu: float | None

    @property
    def cpu(self) -> float | None:
        """All of it: the server's and the database's."""
        if self.server_cpu is None or self.database_cpu is None:
            return None
        return self.server_cpu + self.database_cpu

    @property
    def cores(self) -> float | None:
        """How many cores' work that was."""
        return None if self.cpu is None else self.cpu * self.requests_per_second / 1000


@dataclass(frozen=True, slots=True)
class _Round:
    driven: Driven
    server_cpu: float | None
    database_cpu: float | None


class Bench:
    """The load and the servers; `say` is told what is going on."""

    def __init__(self, wrk: Wrk, place: Place, effort: Effort, say: Callable[[str], None]) -> None:
        self.place = place
        self.effort = effort
        self.answered: Counter[str] = Counter()
        self._wrk = wrk
        self._say = say

    def compare(self, cases: Sequence[Case], *, connections: int) -> dict[str, Measured]:
        """Measure the cases in turn, round after round; ProcessError if an answer was no success."""
        done: dict[str, list[_Round]] = {case.name: [] for case in cases}
        for case in cases:
            self.drive(case, connections=connections, seconds=WARM_UP)
        for number in range(self.effort.rounds):
            for case in cases:
                self._say(f"{case.name}, {connections} at a time, round {number + 1}")
                done[case.name].append(self._round(case, connections))
        return {name: _measured(rounds) for name, rounds in done.items()}

    def drive(
        self,
        case: Case,
        *,
        connections: int,
        seconds: int,
        statuses: bool = False,
        pause: int = 0,
    ) -> Driven:
        """Send a case's requests. All must succeed, unless they are counted by status."""
        file = write_lines(self.place.home / "requests.txt", case.lines(seconds))
        driven = self._wrk.drive(
            self.place.url(case.server),
            file,
            connections=connections,
            seconds=seconds,
            token=case.token,
            statuses=statuses,
            pause=pause,
        )
        if driven.broken or not driven.requests or (driven.refused and not statuses):
            logs = self.place.family.logs / f"{case.server}.log"
            raise ProcessError(
                f"{case.name}: of {driven.requests} requests {driven.refused} were refused and "
                f"{driven.broken} not answered, see {logs}"
            )
        self.answered[case.name] += driven.requests
        return driven

    def _round(self, case: Case, connections: int) -> _Round:
        server, database = self.place.server_cpu(case.server), self.place.database_cpu()
        driven = self.drive(case, connections=connections, seconds=self.effort.seconds)
        return _Round(
            driven,
            _each(self.place.server_cpu(case.server), server, driven),
            _each(self.place.database_cpu(), database, driven),
        )


def _each(after: float | None, before: float | None, driven: Driven) -> float | None:
    if after is None or before is None:
        return None
    return (after - before) / driven.requests * 1000


def _measured(rounds: Sequence[_Round]) -> Measured:
    driven = [r.driven for r in rounds]
    return Measured(
        requests=sum(d.requests for d in driven),
        requests_per_second=median(d.requests / d.seconds for d in driven),
        p50_ms=median(d.p50_ms for d in driven),
        p99_ms=median(d.p99_ms for d in driven),
        server_cpu=_median([r.server_cpu for r in rounds]),
        database_cpu=_median([r.database_cpu for r in rounds]),
    )


def _median(values: Sequence[float | None]) -> float | None:
    seen = [value for value in values if value is not None]
    return median(seen) if seen else None
