"""A planned route is called with what FastAPI would have given it, and refuses what FastAPI would have refused."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Form, Header, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from api import errors
from api.calling import planned
from api.middleware import Envelope
from api.switchboard import Switchboard
from api.times import Instant
from core.errors import Conflict

router = APIRouter()
closed: list[str] = []


class Place(BaseModel):
    room: str


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    count: int = 1
    at: Instant | None = None
    id: UUID | None = None
    place: Annotated[str, Field(min_length=1), AfterValidator(str.strip)] | Place | None = None


async def who(request: Request) -> str:
    return request.headers.get("x-who", "nobody")


async def greeting(who: Annotated[str, Depends(who)], lang: str = "en") -> str:
    return f"{lang}:{who}"


async def work(request: Request) -> AsyncIterator[str]:
    try:
        yield "work"
        closed.append(f"{request.method} done")
    except Conflict:
        closed.append("undone")
        raise


Who = Annotated[str, Depends(who)]
Greeting = Annotated[str, Depends(greeting)]
Work = Annotated[str, Depends(work, scope="function")]


@router.get("/things/{thing_id}/parts/{number}")
async def get_part(
    thing_id: UUID,
    number: int,
    who: Who,
    greeting: Greeting,
    limit: Annotated[int, Query(ge=1, le=5)] = 2,
    tags: Annotated[list[str] | None, Query()] = None,
    size: Literal["s"] | UUID | None = None,
    if_match: Annotated[str | None, Header(max_length=8)] = None,
) -> Response:
    said = [str(thing_id), number, who, greeting, limit, tags, size and str(size), if_match]
    return JSONResponse(said)


@router.post("/things")
async def post_thing(thing: Thing, work: Work, greeting: Greeting) -> Response:
    if thing.name == "taken":
        raise Conflict("taken", code="taken")
    return JSONResponse([thing.name, thing.count, work, greeting, len(closed)], 201)


@router.post("/forms")
async def post_form(name: Annotated[str, Form()]) -> Response:
    return JSONResponse(name)


@router.get("/plain")
async def get_plain() -> dict[str, int]:
    return {"a": 1}


@router.delete("/things", status_code=204)
async def delete_things(work: Work) -> None:
    closed.append(work)


@router.get("/broken")
async def get_broken(who: Who) -> Response:
    raise RuntimeError(f"{who} has a diagnosis")


def application(*, by_plan: bool) -> FastAPI:
    app = FastAPI()
    errors.install(app)
    if by_plan:
        Switchboard(app).include(app, router)
    else:
        app.include_router(router)
    return app


JSON = {"content-type": "application/json"}
GOOD = "/things/0190a5b2-0000-7000-8000-000000000001/parts/7"
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", GOOD, {}),
    ("GET", f"{GOOD}?limit=5&lang=fr&tags=a&tags=b", {"headers": {"x-who": "me", "if-match": "1"}}),
    ("GET", f"{GOOD}?limit=6", {"headers": {"if-match": "123456789"}}),
    ("GET", f"{GOOD}?limit=", {}),
    ("GET", "/things/1/parts/x", {}),
    ("POST", GOOD, {}),
    ("POST", "/things", {"json": {"name": "a", "count": 3}}),
    ("POST", "/things", {"json": {"name": "taken"}}),
    ("POST", "/things", {"json": {"name": 1, "more": 2}}),
    ("POST", "/things", {"content": b"", "headers": JSON}),
    ("POST", "/things", {"content": b"{", "headers": JSON}),
    ("POST", "/forms", {"data": {"name": "a"}}),
    ("GET", "/plain", {}),
    ("DELETE", "/things", {}),
]


async def answered(app: FastAPI, method: str, path: str, sent: dict[str, Any]) -> tuple[int, Any]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        closed.clear()
        answer = await client.request(method, path, **sent)
        body = answer.json() if answer.content else None
        return answer.status_code, [body, list(closed)]


@pytest.mark.parametrize(("method", "path", "sent"), REQUESTS)
async def test_a_planned_route_answers_as_fastapi_would(
    method: str, path: str, sent: dict[str, Any]
):
    ours = await answered(application(by_plan=True), method, path, sent)
    theirs = await answered(application(by_plan=False), method, path, sent)
    assert ours == theirs


async def test_what_a_route_opened_is_closed_before_the_answer_leaves_and_undone_by_its_errors():
    app = application(by_plan=True)
    status, (body, after) = await answered(app, "POST", "/things", {"json": {"name": "a"}})
    assert (status, body[-1], after) == (201, 0, ["POST done"])
    status, (_, after) = await answered(app, "POST", "/things", {"json": {"name": "taken"}})
    assert (status, after) == (409, ["undone"])


def test_what_a_plan_does_not_know_is_left_to_fastapi():
    app = application(by_plan=False)
    (included,) = app.router.routes[-1:]
    kept = {c.path for c in included.effective_candidates() if planned(c) is None}
    assert kept == {"/forms", "/plain"}


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (["a"], "", "model-type"),
        ({"name": "a", "count": "3"}, "/count", "int-type"),
        ({"name": "a", "count": True}, "/count", "int-type"),
        ({"name": "a", "at": 0}, "/at", "string-type"),
        ({"name": "a", "at": "1796133600"}, "/at", "not-written"),
        ({"name": "a", "at": "2026-12-01"}, "/at", "timezone-aware"),
        ({"name": "a", "at": "2026-12-01T14:00:00Z", "id": 7}, "/id", "uuid-type"),
    ],
)
async def test_a_body_is_taken_at_its_word(body: Any, pointer: str, code: str):
    """Where FastAPI would make a number of a text, and a time of a number, the schema says that it is none."""
    status, said = await answered(application(by_plan=True), "POST", "/things", {"json": body})
    assert status == 422
    assert [(e["pointer"], e["code"]) for e in said[0]["errors"]] == [(pointer, code)]


@pytest.mark.parametrize(
    ("method", "path", "sent", "pointers"),
    [
        ("POST", "/things", {"name": "a", "place": {}}, {"/place", "/place/room"}),
        ("POST", "/things", {"name": "a", "place": {"room": 1}}, {"/place", "/place/room"}),
        ("POST", "/things", {"name": "a", "place": ""}, {"/place"}),
        ("GET", f"{GOOD}?size=l", None, {"/size"}),
    ],
)
async def test_a_pointer_names_no_branch_of_a_type(
    method: str, path: str, sent: Any, pointers: set[str]
):
    """Pydantic's names of branches lead nowhere in what was sent; some tell of our code, down to addresses in memory."""
    _, said = await answered(application(by_plan=True), method, path, {"json": sent})
    assert {e["pointer"] for e in said[0]["errors"]} == pointers


async def test_bytes_that_are_no_text_are_no_json():
    sent = {"content": b"\xff", "headers": JSON}
    status, said = await answered(application(by_plan=True), "POST", "/things", sent)
    assert (status, said[0]["code"]) == (400, "malformed-json")


async def test_a_fault_of_ours_is_told_without_its_words_and_in_the_envelope_of_every_answer():
    app = application(by_plan=True)
    app.add_middleware(Envelope)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "diagnosis" not in answer.text
