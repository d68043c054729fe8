"""No way past the gate, read off the code: who opens sealed cells, who selects them, and where the rows of lists come from.

SQLAlchemy's own events see no compiled query, so a guard at run time would guard nothing here. What holds instead: a cell
opens only in the vault, against a Permit that names its row; only the gate makes Permits; and the selections are these.
"""

import ast
import importlib
import sys
from pathlib import Path

import pytest

from records.access.listing import Listing
from tests.test_house_rules import MODULES, ROOT, called, calls

SELECT_SEALED_ROWS = {
    "records/vault/vault.py": "makes the selection",
    "records/custody/blind.py": "makes search tokens anew: no value leaves the vault's call",
    "records/custody/dek.py": "wraps keys anew: it opens no cell for anybody",
    "records/fhir/charts.py": "reads a patient's key before writing, behind gate.write",
}
ONE_BY_ONE = {
    "records/identity/administration.py": "accounts: no word of a patient, each row decided by itself",
    "records/compliance/disclosures.py": "rows of one patient, each decided by itself",
    "records/people/coverages.py": "rows of one patient, each decided by itself",
    "records/clinic.py": "is handed the rows by those who do",
}
OPEN_CELLS = {"records/clinic.py"}
"""Against a Permit; what does not open is an event there."""
DECIDES = {"read", "write", "disclose", "require", "listed", "shown"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def asks_the_gate(path: Path) -> set[str]:
    """Return what a module asks the gate for."""
    return {
        called(call)
        for call in calls(path)
        if isinstance(call.func, ast.Attribute)
        and ast.unparse(call.func.value).endswith(("gate", "clinic"))
    } & DECIDES


def users(function: str, of: str = "") -> set[Path]:
    """Return the modules that call a function, or a method of what is called `of`."""
    return {
        path
        for path in MODULES
        for call in calls(path)
        if called(call) == function
        and (not of or ast.unparse(call.func).endswith(f"{of}.{function}"))
    }


def test_one_place_opens_sealed_cells():
    found = {
        name(path)
        for path in MODULES
        for call in calls(path)
        if called(call) == "open" and ast.unparse(call.func).endswith("vault.open")
    }
    assert found == OPEN_CELLS


@pytest.mark.parametrize("path", sorted(users("sealed_rows")), ids=name)
def test_who_selects_sealed_rows_asks_the_gate(path: Path):
    if name(path) not in SELECT_SEALED_ROWS:
        assert asks_the_gate(path)


@pytest.mark.parametrize(
    "path", sorted(users("disclose", of="gate") | users("disclose", of="clinic")), ids=name
)
def test_who_discloses_a_list_filtered_it_by_the_policy(path: Path):
    if not name(path).startswith("records/access/") and name(path) not in ONE_BY_ONE:
        assert {"listed", "visible", "shown"} & {called(call) for call in calls(path)}


def test_every_list_leaves_out_who_was_erased_and_is_cut_only_after_the_policy():
    """A limit inside would let hidden rows take the place of others, and so be counted."""
    importlib.import_module("api.app")
    ours = [module for name, module in sys.modules.items() if name.startswith("records.")]
    named = [thing for module in ours for thing in vars(module).values()]
    named += [thing for some in named if isinstance(some, dict) for thing in some.values()]
    found = [thing for thing in named if isinstance(thing, Listing)]
    assert len({listing.kind for listing in found}) > 4
    for listing in found:
        text = str(listing.rows)
        assert "patient_key.state != " in text, listing.kind
        assert "LIMIT" not in text, listing.kind


def test_no_module_reaches_for_the_database_but_through_its_own_methods():
    """No engine, pool or driver outside `core.database`: no session exists that the rules above do not see."""
    found = [
        f"{name(path)}:{node.lineno}"
        for path in MODULES
        if not name(path).startswith(("core/", "api/bench/"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("engine", "_pool", "_autocommit", "sync_engine")
    ]
    assert found == []
