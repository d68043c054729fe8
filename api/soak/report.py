"""What the soak found, as `soak.json` and as tables."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import quantiles
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from api.soak.caller import Answer
from api.soak.judge import Verdict
from api.soak.kills import Toll

_SHOWN: Final = 5
"""Of what is wrong with a promise, so many are told in the table."""
Report = dict[str, Any]


def reported(verdicts: Sequence[Verdict], answers: Sequence[Answer], toll: Toll) -> Report:
    """Return the findings as they are written down."""
    return {
        "kept": all(v.kept for v in verdicts),
        "promises": [
            {"promise": v.promise, "kept": v.kept, "looked_at": v.looked_at, "wrong": list(v.wrong)}
            for v in verdicts
        ],
        "requests": dict(_requests(answers)),
        "killed": dict(Counter(part for outage in toll.outages for part in outage.parts)),
        "ended_by_themselves": dict(Counter(toll.fallen)),
    }


def tables(found: Report) -> Iterator[Table]:
    """Yield the requests, and the promises."""
    asked = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "2xx", "409", "503", "other", "p50 ms", "p99 ms"):
        asked.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for act, row in found["requests"].items():
        asked.add_row(act, *(f"{figure:,.0f}" for figure in row.values()))
    yield asked
    kept = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("promise", "", "looked at", "wrong"):
        kept.add_column(heading)
    for each in found["promises"]:
        word = "[green]kept[/green]" if each["kept"] else "[red]broken[/red]"
        kept.add_row(each["promise"], word, each["looked_at"], "\n".join(each["wrong"][:_SHOWN]))
    kept.caption = f"killed: {_counts(found['killed'])}; ended by themselves: {_counts(found['ended_by_themselves'])}"
    yield kept


def _requests(answers: Sequence[Answer]) -> Iterator[tuple[str, dict[str, float]]]:
    for act in sorted({a.act for a in answers}):
        ours = [a for a in answers if a.act == act]
        status = Counter(a.status for a in ours)
        good = sum(a.good for a in ours)
        seconds = [a.seconds * 1000 for a in ours]
        cuts = quantiles(seconds, n=100) if len(seconds) > 1 else seconds * 99
        yield (
            act,
            {
                "good": good,
                "409": status[409],
                "503": status[503],
                "other": len(ours) - good - status[409] - status[503],
                "p50_ms": round(cuts[49], 1),
                "p99_ms": round(cuts[98], 1),
            },
        )


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in found.items()) or "nothing"
