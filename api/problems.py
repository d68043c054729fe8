"""Every problem code, explained: the catalogue (`problems.csv`), and the page that a problem's `type` leads to."""

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.json import Json
from records.tables import metadata

router = APIRouter(include_in_schema=False)

CONSTRAINT: Final = "constraint"
_HERE: Final = Path(__file__).parent
_PAGES: Final = Environment(
    loader=FileSystemLoader(_HERE / "pages"), autoescape=True, undefined=StrictUndefined
)


@dataclass(frozen=True, slots=True)
class Explained:
    """What a code means, and what its reader can do about it."""

    code: str
    status: int
    title: str
    meaning: str
    remedy: str


@cache
def catalogue() -> Mapping[str, Explained]:
    """Return every code that Confide itself gives, in order."""
    with (_HERE / "problems.csv").open(encoding="utf-8", newline="") as file:
        rows = [Explained(**{**row, "status": int(row["status"])}) for row in csv.DictReader(file)]  # type: ignore[arg-type]
    return {row.code: row for row in rows}


def explained(code: str) -> Explained | None:
    """Return what a code means; a constraint of the database is a code by its name."""
    known = catalogue().get(code)
    if known is None and code in _constraints():
        return replace(catalogue()[CONSTRAINT], code=code)
    return known


@cache
def _constraints() -> frozenset[str]:
    """Return the names that PostgreSQL can refuse by, as codes."""
    named = [rule.name for table in metadata.tables.values() for rule in table.constraints]
    unique = [i.name for table in metadata.tables.values() for i in table.indexes if i.unique]
    return frozenset(str(name).replace("_", "-") for name in (*named, *unique))


@router.get("/problems/{code}")
async def page(code: str, request: Request) -> Response:
    """Explain a code: as a page, or as JSON to those who ask for it."""
    found = explained(code)
    if found is None:
        raise HTTPException(404, "There is no such problem")
    if "application/json" in request.headers.get("accept", ""):
        return Json(found)
    return HTMLResponse(_PAGES.get_template("problem.html").render(asdict(found)))
