"""Schemas as OpenAPI 3.1 can say them: what may be null by its type, and where each value ends.

The bounds are those that hold anyhow: a body has a limit, so has whatever is in it; JSON's integers are exact to 53 bits.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

from api.middleware import BODY_LIMIT
from api.openapi.walking import operations, patches
from api.paging import LONGEST

EXACT: Final = 2**53 - 1
"""The largest integer that every reader of JSON has exactly (RFC 8259, 6)."""
_LENGTHS: Final = {"uuid": 36, "date-time": 40, "date": 10, "uri": 2083, "email": 254}
_CLOCK: Final = r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$"
"""A local time; the format `time` of JSON Schema wants an offset."""
_NULL: Final = {"type": "null"}

Schema = dict[str, Any]


def settle(document: dict[str, Any]) -> None:
    """Bring every schema of the document into this form."""
    schemas: dict[str, Schema] = document["components"]["schemas"]
    _name_patches(document)
    for schema in list(every(document)):
        _flatten(schema, schemas)
    for schema in list(every(document)):
        _bound(schema)
    for name, schema in schemas.items():
        if name.startswith("Listing") or "_Listing_" in name:
            schema["properties"]["items"]["maxItems"] = LONGEST
    for operation in operations(document):
        for parameter in operation.get("parameters", ()):
            _never_null(parameter.get("schema", {}))
    for content in patches(document):
        for media in content.values():
            name = media["schema"].get("$ref", "").rpartition("/")[2]
            _leave_alone(schemas.get(name, media["schema"]))


def prune(document: dict[str, Any]) -> None:
    """Leave out the schemas that nothing refers to any more."""
    schemas = document["components"]["schemas"]
    while unused := schemas.keys() - {r.rpartition("/")[2] for r in _references(document)}:
        for name in unused:
            del schemas[name]


def _name_patches(document: dict[str, Any]) -> None:
    """Put a patch that is described at its route among the others: whoever makes a client of them needs a name for each."""
    for content in patches(document):
        for media in content.values():
            if name := media["schema"].get("title"):
                document["components"]["schemas"][name] = media["schema"]
                media["schema"] = {"$ref": f"#/components/schemas/{name}"}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        yield from _references(part)


def every(document: dict[str, Any]) -> Iterator[Schema]:
    """Yield every schema of a document, those within others after them."""
    for schema in document["components"]["schemas"].values():
        yield from within(schema)
    for operation in operations(document):
        for holder in _holders(operation):
            yield from within(holder["schema"])


def _holders(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what has a schema: parameters, and each kind of body and answer."""
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    held = [media for body in bodies if body for media in body.get("content", {}).values()]
    yield from (p for p in [*operation.get("parameters", ()), *held] if "schema" in p)


def within(schema: Schema) -> Iterator[Schema]:
    """Yield a schema and those in it."""
    yield schema
    parts: list[Any] = [schema.get("items"), schema.get("additionalProperties")]
    parts += schema.get("properties", {}).values()
    for word in ("anyOf", "oneOf", "allOf", "prefixItems"):
        parts += schema.get(word, ())
    for part in parts:
        if isinstance(part, dict):
            yield from within(part)


def _flatten(schema: Schema, schemas: dict[str, Schema]) -> None:
    """Write "a string or null", "a boolean or a date" as one schema of several types, and enumerations together as one."""
    parts = [_plain(choice, schemas) for choice in schema.get("anyOf", ())]
    kinds = [part.get("type") for part in parts]
    words = [part["enum"] for part in parts if "enum" in part]
    loose = len(words) + kinds.count("null") if words else len(set(map(str, kinds)))
    if not parts or loose != len(parts) or not all(isinstance(kind, str) for kind in kinds):
        return
    del schema["anyOf"]
    whole = {key: value for part in parts for key, value in part.items()}
    schema |= {**whole, **schema, "type": list(dict.fromkeys(kinds))}
    if len(schema["type"]) == 1:
        (schema["type"],) = schema["type"]
    if words:
        schema["enum"] = [*chain(*words), *([None] if "null" in kinds else ())]


def _plain(choice: Schema, schemas: dict[str, Schema]) -> Schema:
    """Return what an enumeration's name stands for: its words. All else is as it was."""
    named = schemas.get(choice.get("$ref", "").rpartition("/")[2], {})
    return {k: named[k] for k in ("type", "enum")} if "enum" in named else choice


def _never_null(schema: Schema) -> None:
    """A parameter is there or is not; there is no null in an address."""
    kind = schema.get("type")
    if isinstance(kind, list) and "null" in kind:
        schema["type"] = kind[0]
        if "enum" in schema:
            schema["enum"] = [value for value in schema["enum"] if value is not None]
    if _NULL in schema.get("anyOf", ()):
        things = [choice for choice in schema.pop("anyOf") if choice != _NULL]
        schema |= things[0] if len(things) == 1 else {"anyOf": things}
    if schema.get("default", ...) is None:
        del schema["default"]


def _leave_alone(patch: Schema) -> None:
    """A member that a patch has not is not changed; it has no default."""
    for schema in patch.get("properties", {}).values():
        schema.pop("default", None)


def _bound(schema: Schema) -> None:
    kinds = schema.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        _BOUNDS.get(kind, _unbounded)(schema)


def _unbounded(_schema: Schema) -> None:
    """Booleans, null and objects have no end to be told."""


def _string(schema: Schema) -> None:
    if schema.get("format") == "time":
        del schema["format"]
        schema |= {"pattern": _CLOCK, "maxLength": 8, "examples": ["09:00"]}
    if not schema.keys() & {"maxLength", "enum", "const"}:
        schema["maxLength"] = _LENGTHS.get(schema.get("format", ""), BODY_LIMIT)


def _integer(schema: Schema) -> None:
    if "exclusiveMinimum" not in schema:
        schema.setdefault("minimum", -EXACT)
    if "exclusiveMaximum" not in schema:
        schema.setdefault("maximum", EXACT)
    schema.setdefault("format", "int64")


def _number(schema: Schema) -> None:
    """Of two lower ends the one that is above is meant."""
    if schema.get("exclusiveMinimum", -EXACT) >= schema.get("minimum", EXACT):
        del schema["minimum"]


def _array(schema: Schema) -> None:
    schema.setdefault("maxItems", BODY_LIMIT // 2)


_BOUNDS: Final[dict[str, Callable[[Schema], None]]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "array": _array,
}
