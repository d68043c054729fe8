"""Walking through a document: its operations, the bodies of its patches, the fields of an answer."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from api.terms import JSON

_METHODS: Final = ("get", "put", "post", "patch", "delete")


def operations(
    document: Mapping[str, Any], *methods: str, under: str = "/"
) -> Iterator[dict[str, Any]]:
    """Yield the operations of a document: of the methods given, or of all; of paths that begin so."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path.startswith(under) and method in (methods or _METHODS):
                yield operation


def patches(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what each PATCH takes, by media type."""
    for operation in operations(document, "patch"):
        yield operation.get("requestBody", {}).get("content", {})


def fields(answer: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of what an answer shows as JSON, by name."""
    shown = answer.get("content", {}).get(JSON, {}).get("schema", {}).get("$ref", "")
    found: dict[str, Any] = schemas.get(shown.rpartition("/")[2], {}).get("properties", {})
    return found
