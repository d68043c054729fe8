"""The OpenAPI document is whole: nothing dangles or is nameless, nothing of /v1 is open, every field is explained and bounded."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from api.app import create_app
from api.errors import PROBLEM_JSON
from api.openapi import TAGS, operations, shapes
from api.openapi.words import vocabulary
from core.settings import Settings


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings(environment="development")).openapi()


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_every_reference_leads_somewhere(document: dict[str, Any]):
    found = set(references(document))
    assert "#/components/schemas/Problem" in found
    for reference in found:
        assert resolve(document, reference)


def test_no_operation_id_stands_twice(document: dict[str, Any]):
    times = Counter(operation["operationId"] for operation in operations(document))
    assert [name for name, number in times.items() if number > 1] == []


def test_every_operation_has_a_known_tag_a_title_and_a_description(document: dict[str, Any]):
    for operation in operations(document):
        assert set(operation["tags"]) <= set(TAGS), operation["operationId"]
        assert operation["summary"], operation["operationId"]
        assert operation["description"], operation["operationId"]


def test_every_operation_of_v1_needs_a_scheme_that_is_defined(document: dict[str, Any]):
    schemes = set(document["components"]["securitySchemes"])
    for operation in operations(document, under="/v1/"):
        assert operation["security"], operation["operationId"]
        assert all(set(needed) <= schemes for needed in operation["security"])


def test_nothing_outside_v1_asks_for_a_token(document: dict[str, Any]):
    inside = {operation["operationId"] for operation in operations(document, under="/v1/")}
    everything = {operation["operationId"]: operation for operation in operations(document)}
    assert [n for n, o in everything.items() if n not in inside and o["security"]] == []


def test_every_error_of_v1_is_a_problem(document: dict[str, Any]):
    for operation in operations(document, under="/v1/"):
        refusals = {
            s: resolve(document, r["$ref"])
            for s, r in operation["responses"].items()
            if s[0] in "45"
        }
        assert {"401", "403", "404", "503"} <= refusals.keys(), operation["operationId"]
        assert all(set(r["content"]) == {PROBLEM_JSON} for r in refusals.values())


def test_frameworks_own_error_is_not_in_it(document: dict[str, Any]):
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_parameter_of_a_path_is_declared(document: dict[str, Any]):
    for path, item in document["paths"].items():
        named = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        for operation in item.values():
            declared = {p["name"] for p in operation.get("parameters", ()) if p.get("in") == "path"}
            assert named == declared, path


def test_every_answer_of_v1_has_a_schema(document: dict[str, Any]):
    for operation in operations(document, under="/v1/"):
        status, good = next(i for i in operation["responses"].items() if i[0].startswith("2"))
        if status == "204":
            assert "content" not in good, operation["operationId"]
            continue
        assert good["content"], operation["operationId"]
        assert all(c["schema"] for c in good["content"].values()), operation["operationId"]


def test_every_field_and_parameter_is_explained(document: dict[str, Any]):
    mute = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, inner in schema.get("properties", {}).items()
        if "description" not in inner
    ]
    mute += [
        f"{operation['operationId']}: {parameter['name']}"
        for operation in operations(document)
        for parameter in operation.get("parameters", ())
        if "$ref" not in parameter and not parameter.get("description")
    ]
    assert mute == [], "say in api/openapi/words.csv what they are"


def test_the_vocabulary_has_no_word_for_what_is_not_there(document: dict[str, Any]):
    schemas = document["components"]["schemas"]
    there = {f for s in schemas.values() for f in s.get("properties", {})}
    there |= {f"{n}.{f}" for n, s in schemas.items() for f in s.get("properties", {})}
    there |= {
        p["name"] for o in operations(document) for p in o.get("parameters", ()) if "name" in p
    }
    assert [word for word in vocabulary() if word not in there] == []


def test_every_example_of_a_body_is_what_its_schema_allows(document: dict[str, Any]):
    shown = 0
    for operation in operations(document):
        good = [r for s, r in operation["responses"].items() if s[0] == "2"]
        for part in (operation.get("requestBody", {}), *good):
            for media in part.get("content", {}).values():
                if "example" in media:
                    shown += 1
                    schema = media["schema"] | {"components": document["components"]}
                    jsonschema.validate(media["example"], schema, jsonschema.Draft202012Validator)
    assert shown > 100


def test_every_string_number_and_array_has_an_end(document: dict[str, Any]):
    for schema in shapes.every(document):
        kinds = schema.get("type", [])
        if "string" in kinds:
            assert schema.keys() & {"maxLength", "enum", "const"}
        if "integer" in kinds:
            assert schema.keys() & {"maximum", "exclusiveMaximum"}
        if "array" in kinds:
            assert "maxItems" in schema


def test_each_refusal_shows_its_codes(document: dict[str, Any]):
    conflict = document["components"]["responses"]["Conflict"]["content"][PROBLEM_JSON]
    assert {"slot-taken", "illegal-transition"} <= conflict["examples"].keys()


def test_no_schema_has_a_name_that_two_modules_fight_for(document: dict[str, Any]):
    assert [name for name in document["components"]["schemas"] if "__" in name] == []
