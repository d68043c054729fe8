"""Every problem code is explained, with the status it has; the code is read off the source, not off a list."""

import ast
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api import errors
from api.app import create_app
from api.problems import CONSTRAINT, catalogue, explained
from core.errors import DomainError
from core.settings import Settings
from policies.grammar import BadCondition

ROOT = Path(__file__).resolve().parents[1]


def every_kind(of: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for kind in of.__subclasses__():
        if kind.__module__.split(".")[0] in ("api", "core", "policies", "records"):
            yield kind
            yield from every_kind(kind)


def trees() -> Iterator[ast.AST]:
    for package in ("api", "core", "policies", "records"):
        for path in (ROOT / package).rglob("*.py"):
            yield from ast.walk(ast.parse(path.read_text()))


def status(kind: type[DomainError]) -> tuple[int, str]:
    return next(errors.STATUS[each] for each in kind.__mro__ if each in errors.STATUS)


def raised() -> dict[str, tuple[int, str]]:
    """Return the codes of the error classes, and those of `code="…"` where one is made."""
    kinds = {k.__name__: k for k in every_kind() if k is not BadCondition}
    found = {kind.code: status(kind) for kind in kinds.values()}
    for node in trees():
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in kinds:
            for keyword in node.keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                    found[keyword.value.value] = status(kinds[node.func.id])
    return found


def answered() -> set[str]:
    """Return the codes that `api.errors` gives where no error of ours was raised."""
    tree = ast.parse((ROOT / "api/errors.py").read_text())
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    made = [n.args[3] for n in calls if getattr(n.func, "id", "") == "_answer" and len(n.args) > 3]
    by_status = next(
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.AnnAssign) and getattr(n.target, "id", "") == "_CODES"
    )
    assert isinstance(by_status, ast.Dict)
    literals = [n for n in (*made, *by_status.values) if isinstance(n, ast.Constant)]
    return {str(n.value) for n in literals} | {"http-error"}


def test_the_catalogue_has_every_code_and_no_other():
    assert set(catalogue()) == {*raised(), *answered(), CONSTRAINT}


def test_every_code_has_the_status_and_the_title_it_is_answered_with():
    known = {code: (e.status, e.title) for code, e in catalogue().items()}
    assert {code: known[code] for code in raised()} == raised()


def test_every_code_says_what_it_means_and_what_to_do():
    assert [e.code for e in catalogue().values() if len(e.meaning) < 10 or len(e.remedy) < 10] == []
    lines = (ROOT / "api/problems.csv").read_text().splitlines()[1:]
    assert list(catalogue()) == sorted(line.partition(",")[0] for line in lines)


def test_a_constraint_of_the_database_is_a_code_too():
    assert explained("uq-account-login").status == 409
    assert explained("uq-account-nothing") is None


@pytest.fixture
async def http():
    app = create_app(Settings(environment="development"))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_the_type_of_every_problem_leads_to_a_page(http: httpx.AsyncClient):
    for code, entry in catalogue().items():
        answer = await http.get(f"/problems/{code}")
        assert answer.status_code == 200
        assert entry.title in answer.text
        assert entry.code in answer.text


async def test_a_program_gets_the_explanation_as_json(http: httpx.AsyncClient):
    answer = await http.get("/problems/slot-taken", headers={"Accept": "application/json"})
    assert answer.json()["status"] == 409


async def test_what_is_no_code_is_not_found_and_not_repeated(http: httpx.AsyncClient):
    answer = await http.get("/problems/%3Cscript%3E")
    assert answer.status_code == 404
    assert "script" not in answer.text
