"""`docs/modules.md`: every package and module, and the first sentence of what it says of itself."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from api.docgen import markdown

PACKAGES: Final = ("api", "records", "policies", "core")
_ROOT: Final = Path(__file__).resolve().parents[2]


def page() -> str:
    """Return the page."""
    parts = [f"## {package}/\n\n" + "\n".join(_listed(_ROOT / package)) for package in PACKAGES]
    return markdown.page(
        "Modules", "Where everything is. Imports go down this page, never up.", *parts
    )


def _listed(folder: Path, depth: int = 0) -> Iterator[str]:
    """Yield a line for each module of a folder, then its folders with theirs."""
    indent = "  " * depth
    for path in sorted(folder.glob("*.py")):
        if path.stem != "__init__":
            yield f"{indent}- `{path.stem}` {_said(path)}"
    for inner in sorted(p.parent for p in folder.glob("*/__init__.py")):
        yield f"{indent}- **`{inner.name}/`** {_said(inner / '__init__.py')}".rstrip()
        yield from _listed(inner, depth + 1)


def _said(path: Path) -> str:
    """Return the first line of a module's docstring."""
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return told.partition("\n")[0]
