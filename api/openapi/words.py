"""What each field is, in words, and an example of each body: one vocabulary (`words.csv`) for all of the API.

A field that says something of itself is left alone. `Model.field` in the table goes before `field`.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from api.openapi.shapes import Schema
from api.openapi.walking import operations

_FORMATS: Final[Mapping[str, Any]] = {
    "uuid": "01975e3a-7c1e-7d2b-9a4f-3c5d6e7f8091",
    "date-time": "2026-12-01T14:00:00Z",
    "date": "2026-12-01",
    "time": "09:00:00",
    "uri": "https://confide.example/",
    "binary": "(bytes)",
}
_KINDS: Final = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
}
_TYPES: Final[Mapping[str, Any]] = {"boolean": True, "null": None, "object": {}}


class Word(NamedTuple):
    """What a field is, and an example of it as JSON; empty where its type says enough."""

    says: str
    example: str


@cache
def vocabulary() -> Mapping[str, Word]:
    """Return the table, by field or `Model.field`."""
    with Path(__file__).with_name("words.csv").open(encoding="utf-8", newline="") as file:
        return {row["field"]: Word(row["says"], row["example"]) for row in csv.DictReader(file)}


def explain(document: dict[str, Any]) -> None:
    """Describe every property and parameter, and show every JSON body once."""
    schemas: dict[str, Schema] = document["components"]["schemas"]
    for name, schema in schemas.items():
        _describe(schema, name)
    for operation in operations(document):
        for parameter in operation.get("parameters", ()):
            _introduce(parameter)
        for body in _bodies(operation):
            if not body.keys() & {"example", "examples"} and "schema" in body:
                body["example"] = example(body["schema"], schemas)


def example(schema: Schema, schemas: Mapping[str, Schema], name: str = "", field: str = "") -> Any:
    """Return a value that a schema allows: its own example, the vocabulary's, or one made of its parts."""
    if "$ref" in schema:
        target = schema["$ref"].rpartition("/")[2]
        simple = "properties" not in schemas[target]
        return example(schemas[target], schemas, *((name, field) if simple else (target, "")))
    for found in (*schema.get("examples", ())[:1], *_constant(schema), *_told(schema, name, field)):
        return found
    for choice in schema.get("anyOf") or schema.get("oneOf") or ():
        return example(choice, schemas, name, field)
    return _of_type(schema, schemas, name, field)


def _told(schema: Schema, name: str, field: str) -> Iterator[Any]:
    """Yield the vocabulary's example, where it is of the schema's type; a format knows better what it is."""
    word = vocabulary().get(f"{name}.{field}") or vocabulary().get(field)
    if word and word.example and schema.get("format") not in _FORMATS:
        value = json.loads(word.example)
        if _KINDS[type(value)] in _kinds(schema):
            yield value


def _kinds(schema: Schema) -> list[str]:
    """Return the types a schema allows."""
    kinds = schema.get("type", ["object" if "properties" in schema else "string"])
    return [kinds] if isinstance(kinds, str) else kinds


def _constant(schema: Schema) -> Iterator[Any]:
    if "const" in schema:
        yield schema["const"]
    yield from schema.get("enum", ())[:1]


def _of_type(schema: Schema, schemas: Mapping[str, Schema], name: str, field: str) -> Any:
    kind = _kinds(schema)[0]
    if "properties" in schema:
        parts = schema["properties"].items()
        return {part: example(inner, schemas, name, part) for part, inner in parts}
    if kind == "array":
        return [example(schema["items"], schemas, name, field)] if "items" in schema else []
    if kind in {"integer", "number"}:
        return schema.get("default") or max(schema.get("minimum", 1), 1)
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""), "text")
    return _TYPES[kind]


def _describe(schema: Schema, name: str) -> None:
    for field, inner in schema.get("properties", {}).items():
        word = vocabulary().get(f"{name}.{field}") or vocabulary().get(field)
        if word:
            inner.setdefault("description", word.says)


def _introduce(parameter: dict[str, Any]) -> None:
    name = parameter.get("name", "")
    word = vocabulary().get(name)
    if word:
        parameter.setdefault("description", word.says)
    elif parameter.get("in") == "path":
        parameter.setdefault("description", f"The {name.removesuffix('_id').replace('_', ' ')}.")


def _bodies(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the JSON bodies of a request and of its good answers."""
    good = [r for s, r in operation["responses"].items() if s[0] == "2" and r]
    for part in (operation.get("requestBody", {}), *good):
        yield from (m for kind, m in part.get("content", {}).items() if "json" in kind)
