"""The rules of the house that no linter knows: each is read off the syntax tree of every product module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("api", "core", "policies", "records")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

MAY_COMMIT = {"core/database.py"}
# Where a role is given or looked up, never where something is decided by one.
MAY_NAME_ROLES = {
    "records/identity/callers.py",
    "records/identity/commands.py",
    "records/fhir/",
    "records/demo/",
}
PHI = {
    "address", "birth_date", "content", "email", "emergency_contacts", "family", "given", "group_number",
    "identifier", "identifiers", "member_id", "password", "payor", "phone", "plan", "reason", "sex",
    "title", "username", "value",
}  # fmt: skip
LOG_METHODS = {"debug", "info", "warning", "error", "critical", "exception", "msg"}
LONGEST_MODULE = 250
LONGEST_FUNCTION = 40


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def exempt(path: Path, names: set[str]) -> bool:
    return str(path.relative_to(ROOT)).startswith(tuple(names))


def test_only_the_database_module_commits():
    found = [
        where(path, node)
        for path in MODULES
        if not exempt(path, MAY_COMMIT)
        for node in calls(path)
        if called(node) == "commit"
    ]
    assert found == []


def test_no_code_outside_the_policies_decides_by_the_name_of_a_role():
    found = [
        where(path, node)
        for path in MODULES
        if not exempt(path, MAY_NAME_ROLES | {"policies/"})
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "Role"
    ]
    assert found == []


def test_no_log_call_mentions_a_field_that_holds_phi():
    found = [
        where(path, node)
        for path in MODULES
        for node in calls(path)
        if called(node) in LOG_METHODS
        and getattr(getattr(node.func, "value", None), "id", "") == "log"
        for name in _named(node)
        if name in PHI
    ]
    assert found == []


def _named(call: ast.Call) -> Iterator[str]:
    """Yield every name, attribute, keyword and subscript key that a log call hands over."""
    for keyword in call.keywords:
        yield keyword.arg or "**"
    for node in ast.walk(call):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            yield str(node.slice.value)


def test_nothing_prints():
    found = [
        where(path, node)
        for path in MODULES
        for node in calls(path)
        if getattr(node.func, "id", "") == "print"
    ]
    assert found == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_and_its_functions_stay_short(path: Path):
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_MODULE
    long = [
        where(path, node)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []
