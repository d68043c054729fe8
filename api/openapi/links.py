"""Where one goes on from what was made: the operations on it, and which of its fields is their parameter."""

import re
from collections.abc import Iterator
from typing import Any, Final

from api.openapi.walking import fields

_MADE: Final = ("201", "202")
_METHODS: Final = frozenset({"get", "post", "patch", "delete"})


def lead(document: dict[str, Any]) -> None:
    """Link each answer that shows something new to all that can be done with it."""
    for path, item in document["paths"].items():
        for status in _MADE:
            made = item.get("post", {}).get("responses", {}).get(status, {})
            there = fields(made, document["components"]["schemas"])
            for name, operation in _onward(document, path):
                shown = name if name in there else "id"
                if shown in there:
                    made.setdefault("links", {})[operation["operationId"]] = _link(
                        path, name, shown, operation
                    )


def _onward(document: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what can be done with a thing of a collection, and the name of its parameter."""
    for other, item in document["paths"].items():
        found = re.fullmatch(re.escape(path) + r"/{(\w+)}(/[\w-]+)?", other)
        if found:
            yield from ((found[1], told) for method, told in item.items() if method in _METHODS)


def _link(path: str, name: str, shown: str, operation: dict[str, Any]) -> dict[str, Any]:
    parameters = {n: f"$request.path.{n}" for n in re.findall(r"{(\w+)}", path)}
    parameters[name] = f"$response.body#/{shown}"
    if any(p.get("name") == "if-match" for p in operation.get("parameters", ())):
        parameters["if-match"] = "$response.header.ETag"
    return {"operationId": operation["operationId"], "parameters": parameters}
