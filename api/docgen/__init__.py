"""The pages of docs/ that the code itself can say: schema, PHI inventory, roles, errors, modules, OpenAPI.

`confide docs` writes them; a test fails when one of them is not what the code says.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import orjson

from api.docgen import errors, modules, phi, roles, schema


def pages() -> Mapping[str, str]:
    """Return every generated page by its path in the checkout."""
    return {path: make() for path, make in PAGES.items()}


def write(root: Path) -> list[Path]:
    """Write every page under `root`; return the paths."""
    written = [root / path for path in PAGES]
    for path, text in zip(written, pages().values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return written


def _openapi() -> str:
    from api.app import create_app
    from core.settings import Settings

    document = create_app(Settings()).openapi()
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(document, option=options).decode()


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "docs/schema.md": schema.page,
    "docs/phi.md": phi.page,
    "docs/roles.md": roles.page,
    "docs/errors.md": errors.page,
    "docs/modules.md": modules.page,
    "docs/openapi.json": _openapi,
}
