"""Limits on what one caller may ask, on how deep a body nests, and on what a secret may be."""

import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import limits
from api.commands import processes
from api.depth import DEEPEST, Depth
from api.limits import Limits
from core.ids import new_id
from core.settings import Settings, settings
from core.windows import Limit, Windows, limit
from tests.apis import Api, serve


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


def restrict(api: Api, **chosen: str) -> None:
    usual = {"home": api.app.state.settings.home, "environment": "development"}
    api.app.state.limits = Limits(Settings(**usual, **chosen))


@pytest.mark.parametrize(
    ("proxies", "seen"), [("", "127.0.0.1"), ("10.0.0.0/8", "127.0.0.1"), ("127.0.0.1", "9.9.9.9")]
)
async def test_an_address_is_believed_of_a_proxy_of_ours_alone(
    proxies: str, seen: str, monkeypatch: pytest.MonkeyPatch
):
    served: dict[str, Any] = {}
    monkeypatch.setenv("CONFIDE_PROXIES", proxies)
    monkeypatch.setattr(uvicorn, "run", lambda _app, **given: served.update(given))
    settings.cache_clear()
    processes.serve()
    settings.cache_clear()

    async def who(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(scope["client"][0])(scope, receive, send)

    chosen = {name: served[name] for name in ("proxy_headers", "forwarded_allow_ips")}
    config = uvicorn.Config(who, interface="asgi3", **chosen)
    config.load()
    transport = httpx.ASGITransport(config.loaded_app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.get("/", headers={"X-Forwarded-For": "9.9.9.9"})
    assert answer.text == seen


async def test_one_request_too_many_is_told_to_wait_and_others_are_not(api: Api):
    restrict(api, caller_limit="5/minute")
    adams, baker = await api.bearer(api.people.adams), await api.bearer(api.people.baker)
    answers = [await api.http.get("/v1/me", headers=adams) for _ in range(6)]
    assert [a.status_code for a in answers] == [200] * 5 + [429]
    assert answers[-1].headers["content-type"] == "application/problem+json"
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert (await api.http.get("/v1/me", headers=baker)).status_code == 200


async def test_another_session_is_no_way_around_the_limit(api: Api):
    restrict(api, caller_limit="2/minute")
    answers = [await api.get(api.people.adams, "/v1/me") for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]


async def test_an_answer_says_where_its_caller_stands(api: Api):
    restrict(api, caller_limit="100/minute")
    adams = await api.bearer(api.people.adams)
    await api.http.get("/v1/me", headers=adams)
    answer = await api.http.get("/v1/me", headers=adams)
    assert answer.headers["ratelimit-policy"] == '"caller";q=100;w=60'
    assert re.fullmatch(r'"caller";r=98;t=(60|59)', answer.headers["ratelimit"])
    assert "ratelimit" not in (await api.http.get("/v1/me")).headers


async def test_the_thirty_first_search_of_a_minute_waits(api: Api):
    restrict(api, search_limit="30/minute")
    desk = await api.bearer(api.people.reception)
    answers = [
        await api.http.post("/v1/patients/search", json={"identifier": f"MRN-{n}"}, headers=desk)
        for n in range(31)
    ]
    assert [a.status_code for a in answers] == [200] * 30 + [429]
    assert (await api.http.get("/v1/me", headers=desk)).status_code == 200


async def test_who_guesses_ids_is_stopped_whatever_they_guess(api: Api):
    restrict(api, miss_limit="30/minute")
    desk = await api.bearer(api.people.reception)
    answers = [await api.http.get(f"/v1/patients/{new_id()}", headers=desk) for _ in range(31)]
    assert [a.status_code for a in answers] == [404] * 30 + [429]
    known = await api.http.get(f"/v1/patients/{api.people.patient_id}", headers=desk)
    assert known.status_code == 429


async def test_searches_and_guesses_are_counted_by_all_processes_together(api: Api):
    desk, other = await api.bearer(api.people.reception), {"Content-Type": "application/json"}
    restrict(api, search_limit="3/minute", miss_limit="3/minute")

    async def search() -> int:
        body = '{"identifier": "MRN-1"}'
        return (
            await api.http.post("/v1/patients/search", content=body, headers=desk | other)
        ).status_code

    async def guess() -> int:
        return (await api.http.get(f"/v1/patients/{new_id()}", headers=desk)).status_code

    assert [await search() for _ in range(3)] == [200] * 3
    assert [await guess() for _ in range(2)] == [404] * 2
    restrict(api, search_limit="3/minute", miss_limit="3/minute")  # as a process that just began
    assert await search() == 429
    assert [await guess() for _ in range(2)] == [404, 429]


async def test_a_process_allows_its_share_of_requests(api: Api):
    restrict(api, caller_limit="9/minute", api_processes="3")
    adams = await api.bearer(api.people.adams)
    answers = [await api.http.get("/v1/me", headers=adams) for _ in range(4)]
    assert [a.status_code for a in answers] == [200] * 3 + [429]


async def test_the_token_endpoint_is_limited_by_client_and_network(api: Api):
    restrict(api, token_limit="3/minute")
    form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": "confide-cli"}
    answers = [await api.http.post("/oauth/token", data=form) for _ in range(4)]
    assert [a.status_code for a in answers] == [400] * 3 + [429]
    assert answers[-1].headers["retry-after"]
    assert answers[-1].json() == {"error": "slow_down"}
    other = await api.http.post("/oauth/token", data=form | {"client_id": "confide-docs"})
    assert other.status_code == 400
    for path in ("par", "device_authorization"):  # each leaves a row, and anybody may ask for it
        answer = await api.http.post(f"/oauth/{path}", data={"client_id": "confide-cli"})
        assert (answer.status_code, answer.json()) == (429, {"error": "slow_down"})


def test_counting_costs_next_to_nothing():
    counted, account = Limits(Settings(environment="development")), new_id()
    began = time.thread_time()
    for _ in range(2000):
        scope = {"path": "/v1/me"}
        counted.caller(scope, account)
        limits.headers(scope)
    assert (time.thread_time() - began) / 2000 < 100e-6


def test_a_window_begins_anew_when_it_has_ended(monkeypatch: pytest.MonkeyPatch):
    counted, few = Windows(), Limit(2, 60)
    assert [counted.hit("a", few).left for _ in range(4)] == [1, 0, -1, -2]
    assert counted.look("a", few).over
    assert not counted.look("b", few).over
    later = time.monotonic() + 60
    monkeypatch.setattr("core.windows.monotonic", lambda: later)
    assert counted.hit("a", few).left == 1


def test_counters_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.windows.KEPT", 10)
    counted, few = Windows(), Limit(2, 60)
    for number in range(100):
        counted.hit(number, few)
    assert len(counted._counts) == 10


def test_a_limit_is_read_as_people_write_it():
    assert limit("30/minute") == Limit(30, 60)
    assert limit("5 per 10 second") == Limit(5, 10)
    with pytest.raises(ValidationError):
        Settings(environment="development", caller_limit="plenty")


nested = st.recursive(
    st.text(max_size=5) | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=60,
)


def depth_of(value: object) -> int:
    inner = (
        list(value.values())
        if isinstance(value, dict)
        else value
        if isinstance(value, list)
        else None
    )
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(nested, st.integers(0, 40), st.integers(1, 7), st.booleans())
def test_a_body_is_as_deep_as_it_is_in_whatever_pieces_it_comes(
    value, more: int, size: int, plain: bool
):
    for _ in range(more):
        value = [value, '"[[[{{\\']
    text = json.dumps(value, ensure_ascii=plain).encode()
    seen = Depth()
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    found = any(seen.too_deep(piece) for piece in pieces)
    assert found == (depth_of(value) > DEEPEST)


async def test_a_body_that_nests_too_deep_is_refused_and_a_file_is_not_looked_at(api: Api):
    adams = await api.bearer(api.people.adams)
    path = f"/v1/appointments/{api.people.appointment_id}/records"
    deep: object = "x"
    for _ in range(200):
        deep = [deep]
    note = {"kind": "note", "title": "Deep", "content": {"text": deep}}
    refused = await api.http.post(path, json=note, headers=adams)
    assert (refused.status_code, refused.json()["code"]) == (400, "bad-request")
    wild = b'{"kind":' + b"[" * 100_000
    kind = {"Content-Type": "application/json"}
    assert (await api.http.post(path, content=wild, headers=adams | kind)).status_code == 400
    files = {"file": ("x", b"[" * 1000)}
    assert (await api.http.post(path, files=files, headers=adams)).status_code in (415, 422)


@pytest.mark.parametrize("name", ["database_url", "broker_url", "smtp_url"])
def test_a_weak_secret_is_refused_outside_development(name: str):
    weak = {name: "scheme://confide:postgres@db.example/confide"}
    with pytest.raises(ValidationError, match="characters") as refusal:
        Settings(environment="production", **weak)
    assert ":postgres@" not in str(refusal.value)
    Settings(environment="development", **weak)
    Settings(environment="production", **{name: "scheme://c:9fKq2vXw7LpZ@db.example/confide"})
    Settings(environment="production", **{name: "scheme:///confide?host=/run/postgresql"})
