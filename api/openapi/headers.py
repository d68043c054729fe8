"""What every operation says in its headers: which version it shows, where a thing was made, where a list goes on."""

from typing import Any, Final

from api.etags import REQUIRED
from api.openapi.walking import fields, patches
from api.terms import JSON, LONGEST_TAGS, MERGE_PATCH

_TEXT: Final = {"type": "string", "maxLength": 2083}
_ETAG: Final = {
    "description": "The version shown, for If-Match and If-None-Match",
    "schema": {"type": "string", "maxLength": 14},
    "example": 'W/"1"',
}
_LINK: Final = {
    "description": "The first page and, but on the last, the next one (RFC 8288)",
    "schema": _TEXT,
    "example": '</v1/doctors?limit=20>; rel="first"',
}
_UNCHANGED: Final = {"description": "The version that If-None-Match names is the one there is"}
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of what is there already: if it still holds the answer is 304, without a body",
    "schema": {"type": "string", "maxLength": LONGEST_TAGS},
}


def tell(document: dict[str, Any]) -> None:
    """Write it into a document, and that every PATCH is a merge patch."""
    schemas = document["components"]["schemas"]
    document["components"]["parameters"]["if_none_match"] = _IF_NONE_MATCH
    for item in document["paths"].values():
        for method, operation in item.items():
            _tell(method, operation, schemas)
    for content in patches(document):
        if JSON in content and MERGE_PATCH not in content:
            content |= {MERGE_PATCH: content[JSON], JSON: content.pop(JSON)}


def _tell(method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    good = next(r for s, r in operation["responses"].items() if s[0] == "2")
    for parameter in operation.get("parameters", ()):
        if parameter.get("schema", {}).pop(REQUIRED, False):
            parameter["required"] = True
    named = {p.get("name") for p in operation.get("parameters", ())}
    if _versioned(good, schemas):
        good.setdefault("headers", {})["ETag"] = _ETAG
    if method != "get":
        return
    if _versioned(good, schemas):
        operation["responses"]["304"] = dict(_UNCHANGED)
        operation["parameters"].append({"$ref": "#/components/parameters/if_none_match"})
    if "cursor" in named:
        good.setdefault("headers", {})["Link"] = _LINK


def _versioned(response: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Tell whether what is shown has a version of its own, and is no page of such things."""
    shown = fields(response, schemas)
    return "version" in shown and "items" not in shown
