"""The OpenAPI document: what FastAPI says of the routes, and what it cannot know."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from api.errors import Problem
from api.openapi import access, headers, links, refusals, shapes, words
from api.openapi.walking import operations
from records.clinical.content import MODELS

TAGS: Final[Mapping[str, str]] = {
    "me": "The caller, as the policy sees them, and their own account.",
    "accounts": "Who may log in, as what. For administrators.",
    "clients": "Which applications may ask for tokens, and for what. For administrators.",
    "patients": "Who is cared for, under which numbers and insurances. Every word is sealed.",
    "doctors": "Public profiles of who practises here.",
    "services": "Kinds of visit: how long, how soon, how far ahead, for how many.",
    "locations": "Sites, and the rooms in them.",
    "schedules": "When doctors work, and when they, or the whole clinic, do not.",
    "slots": "Free time, computed when asked.",
    "appointments": "Visits: booked, moved, received, called off. Nobody is booked twice.",
    "records": "Medical records. Each read is decided and noted before it is answered.",
    "care": "Who treats a patient, what the patient allows, and who stands in for them.",
    "break-glass": "Emergency access: granted at once, noted, and reviewed.",
    "audit": "Who did what to whose data, for those who check.",
    "policies": "Who may do what: the rules in force, their history, and drafts of others.",
    "keys": "Versions and rotations of keys, and the erasure of a patient. Never a key itself.",
    "operations": "Health and metrics, without a login.",
}
_REF: Final = "#/components/schemas/{model}"
_SERVERS: Final = [
    {"url": "/", "description": "Production or local: what shows this", "x-internal": False}
]


def complete(app: FastAPI) -> None:
    """Let the app's document say what it cannot know by itself; call it after every router is in."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        document = plain()
        _define(document["components"]["schemas"], Problem, *MODELS.values())
        document["tags"] = [{"name": n, "description": d} for n, d in TAGS.items()]
        document["servers"] = _SERVERS
        access.tell(document)
        for operation in operations(document):
            operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
            operation.setdefault("security", [])
        headers.tell(document)
        links.lead(document)
        shapes.settle(document)
        words.explain(document)
        refusals.share(document)
        shapes.prune(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _define(schemas: dict[str, Any], *models: type[BaseModel]) -> None:
    for model in models:
        schema = model.model_json_schema(ref_template=_REF)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
