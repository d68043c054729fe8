"""Changing a thing over HTTP by a merge patch (RFC 7396): field by field, or as one with what is stored."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from api.bodies import Trimmed
from api.errors import faults_of
from api.terms import JSON, MERGE_PATCH
from core.errors import BadRequest, FieldError, Invalid
from core.merge import merged

T = TypeVar("T", bound=BaseModel)

LEFT_OUT: Any = None
"""The default of a field that may be left out and may not be null."""


class Patch(Trimmed):
    """A merge patch: what is left out stays, and null clears what may be empty."""

    def changes(self) -> dict[str, Any]:
        """Return the fields that were sent."""
        return self.model_dump(exclude_unset=True)


async def _sent(request: Request) -> dict[str, Any]:
    """Return the merge patch in a request's body: an object, for nothing here is replaced as a whole."""
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise BadRequest("the body is not JSON", code="malformed-json") from None
    if not isinstance(body, dict):
        raise Invalid(errors=[FieldError("", "dict-type", "a merge patch is an object")])
    return body


Change = Annotated[dict[str, Any], Depends(_sent)]
"""A patch that is judged only together with what is stored: see `revised`."""


def patch_of(model: type[BaseModel], name: str) -> dict[str, Any]:
    """Return the request body of a route that takes a `Change`, for OpenAPI: the model's fields, none required."""
    fields = model.model_json_schema(ref_template="#/components/schemas/{model}")["properties"]
    schema = {
        "title": name,
        "type": "object",
        "description": "A merge patch (RFC 7396): what is named changes, null takes a field away.",
        "properties": fields,
        "additionalProperties": False,
    }
    content = {kind: {"schema": schema} for kind in (MERGE_PATCH, JSON)}
    return {"requestBody": {"required": True, "content": content}}


def revised(model: type[T], stored: Mapping[str, Any], change: Mapping[str, Any]) -> T:
    """Return a stored thing with a patch applied, as `model` takes it; raise Invalid where it does not."""
    strange = [name for name in change if name not in model.model_fields]
    if strange:
        message = "there is no such field, or it is not yours to change"
        raise Invalid(errors=[FieldError(f"/{n}", "extra-forbidden", message) for n in strange])
    whole = merged(dict(stored), dict(change))
    try:
        return model.model_validate(whole)
    except ValidationError as error:
        raise Invalid(errors=faults_of(error.errors(), whole)) from None
