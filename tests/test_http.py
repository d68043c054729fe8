"""Every operation keeps the same manners of HTTP. The operations are read off the OpenAPI document, so a new one is in by itself.

Each case asks all the operations it is about, one request each; what one may not do is rolled back, and no case changes
anything.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest
import pytest_asyncio

from api.errors import PROBLEM_JSON
from api.limits import Limits
from api.middleware import BODY_LIMIT
from core.database import Session
from core.ids import new_id
from core.settings import Settings
from records.identity.tokens import ACCESS
from tests.apis import serve
from tests.idors import NUMBERED, Matrix, absent, fill, sample
from tests.servers import cloned

pytestmark = pytest.mark.asyncio(loop_scope="session")

JSON, MERGE_PATCH = "application/json", "application/merge-patch+json"
WHO = ("admin", "doctor_mine", "receptionist", "compliance", "patient_mine")
JUDGED_WHOLE = {"amend_patient", "amend_coverage"}
"""A patch of these is judged with what it changes, so only before one who may change that."""
UNRELATED = "user/Nothing.cruds"
UNVERSIONED = {
    "end_other_sessions", "end_own_session", "end_account_sessions", "end_account_session",
    "remove_own_factors", "reset_account_mfa", "withdraw_consent", "remove_shift", "leave_care_team",
    "dismiss_proxy", "withdraw_erasure", "lift_legal_hold",
}  # fmt: skip
"""What these end never changes before: it has no version that could be another one."""


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    told: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.told["operationId"])

    @property
    def takes(self) -> list[str]:
        return list(self.told.get("requestBody", {}).get("content", {}))

    @property
    def parameters(self) -> set[str]:
        return {p["name"].lower() for p in self.told.get("parameters", ()) if "name" in p}

    @property
    def inside(self) -> bool:
        return self.path.startswith("/v1/")


@dataclass
class World:
    """A furnished clinic, and everything that can be asked of it."""

    matrix: Matrix
    document: dict[str, Any]
    operations: list[Operation]

    async def ask(self, o: Operation, who: str = "admin", **more: Any) -> httpx.Response:
        """Ask an operation, for what there is; `more` goes before what is usual."""
        matrix = self.matrix
        headers = matrix.bearers[who] | {"If-Match": 'W/"1"'} | more.pop("headers", {})
        sent = more if {"content", "json"} & more.keys() else more | self.body(o)
        sent["headers"] = {n: v for n, v in headers.items() if v}
        method = sent.pop("method", o.method)
        return await matrix.api.http.request(method, self.address(o), **sent)

    def address(self, o: Operation) -> str:
        there, nothing = self.matrix.things["mine"], absent()

        def fitting(name: re.Match[str]) -> str:
            return NUMBERED.get(name[1]) or there.get(name[1]) or nothing[name[1]]

        return re.sub(r"{(\w+)}", fitting, o.path)

    def body(self, o: Operation) -> dict[str, Any]:
        if JSON not in o.takes:
            return {}
        schema = o.told["requestBody"]["content"][JSON]["schema"]
        return {"json": sample(schema, self.document["components"]["schemas"])}

    def dated(self, o: Operation, kind: str) -> list[str]:
        """Return the fields of a body that hold a day, an instant or an hour."""
        schema = o.told["requestBody"]["content"][JSON]["schema"]
        parts = self.document["components"]["schemas"]
        refs = [s["$ref"] for s in schema.get("anyOf", [schema]) if "$ref" in s]
        fields = [f for ref in refs for f in parts[ref.rpartition("/")[2]]["properties"].items()]
        return [name for name, told in fields if _format(told) == kind]

    def those(self, fits: Callable[[Operation], bool]) -> Iterator[Operation]:
        found = [o for o in self.operations if fits(o)]
        assert found
        yield from found

    def reads(self) -> Iterator[Operation]:
        return self.those(lambda o: o.method == "GET")


async def _undone(session: Session) -> None:
    await session.flush()
    await session.rollback()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(postgres: str, template_url: str, tmp_path_factory: Any) -> AsyncIterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONFIDE_AUDIT_DEADLINE", "60")
        home: Path = tmp_path_factory.mktemp("http")
        async with cloned(postgres, template_url) as url, serve(url, home) as api:
            matrix = await fill(api, url)
            await _furnish_more(matrix, url)
            patch.setattr(Session, "commit", _undone)
            document = api.app.openapi()
            yield World(matrix, document, list(_operations(document)))


async def _furnish_more(matrix: Matrix, url: str) -> None:
    """Make what hangs on no patient."""
    ids = matrix.things["mine"]
    client = {
        "client_name": "Charts",
        "redirect_uris": ["https://charts.example/cb"],
        "scope": "openid",
    }
    made = await matrix.make("admin", "/clients", client)
    ids["client_id"] = made["client_id"]
    search = {"name": "mine", "filters": {"patient": ids["patient_id"]}}
    ids["search_id"] = (await matrix.make("compliance", "/audit/searches", search))["id"]
    ids["alert_id"] = str(alert := new_id())
    owner = await asyncpg.connect(url)
    await owner.execute(
        "INSERT INTO audit.alert (id, rule, key, events, count, state, version, found_at) "
        "VALUES ($1, 'R8', 'k', '{}', 1, 'open', 1, now())",
        alert,
    )
    await owner.close()


def _operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method, told in item.items():
            yield Operation(method.upper(), path, told)


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == PROBLEM_JSON, answer.text
    return answer.status_code, answer.json()["code"]


async def test_a_change_without_if_match_is_428_and_a_late_one_412(world: World):
    def changes(o: Operation) -> bool:
        return o.method in ("PUT", "PATCH", "DELETE")

    unsaid = {o.name for o in world.those(changes) if "if-match" not in o.parameters}
    assert unsaid == UNVERSIONED
    stale = 0
    for o in world.those(lambda o: changes(o) and "if-match" in o.parameters):
        missing = await world.ask(o, headers={"If-Match": ""})
        assert code(missing) == (428, "precondition-required"), o
        for who in WHO:
            late = await world.ask(o, who, headers={"If-Match": 'W/"999"'})
            assert late.status_code in (403, 404, 412, 422), (o, who, late.text)
            stale += late.status_code == 412
    assert stale > 12


async def test_without_a_token_it_is_401_whatever_else_is_missing(world: World):
    nothing = {"Authorization": "", "If-Match": "", "Content-Type": JSON}
    for o in world.those(lambda o: o.inside and (not o.takes or JSON in o.takes)):
        body = b"{" if o.takes else b""
        refused = await world.ask(o, headers=nothing, content=body)
        assert code(refused) == (401, "missing-token"), o


async def test_a_body_of_another_type_is_415_and_says_which_is_taken(world: World):
    for o in world.those(lambda o: bool(o.takes) and o.inside):
        refused = await world.ask(o, content=b"<a/>", headers={"Content-Type": "application/xml"})
        assert code(refused) == (415, "media-type"), o
        name = "Accept-Patch" if o.method == "PATCH" else "Accept"
        assert refused.headers[name] == ", ".join(o.takes), o


async def test_a_caller_who_takes_no_answer_there_is_hears_406(world: World):
    for o in world.operations:
        good = [r for s, r in o.told["responses"].items() if s[0] == "2" and r.get("content")]
        if not good or "application/octet-stream" in good[0]["content"]:
            continue
        refused = await world.ask(o, headers={"Accept": "image/webp, text/html;q=0.5, */*;q=0"})
        assert code(refused) == (406, "not-acceptable"), o


async def test_a_patch_is_a_merge_patch(world: World):
    for o in world.those(lambda o: o.method == "PATCH"):
        assert o.takes == [MERGE_PATCH, JSON], o
        answer = await world.ask(o, content=b"{}", headers={"Content-Type": MERGE_PATCH})
        assert answer.status_code != 415, o


async def test_broken_json_is_400(world: World):
    for o in world.those(lambda o: JSON in o.takes):
        refused = await world.ask(o, content=b'{"a": ', headers={"Content-Type": JSON})
        assert code(refused) == (400, "malformed-json"), o


async def test_a_body_past_the_limit_is_413(world: World):
    large = b'"' + b"x" * BODY_LIMIT + b'"'
    for o in world.those(lambda o: JSON in o.takes):
        refused = await world.ask(o, content=large, headers={"Content-Type": JSON})
        assert code(refused) == (413, "too-large"), o


async def test_who_asks_too_much_hears_429_and_when_to_come_back(world: World):
    state = world.matrix.api.app.state
    usual, state.limits = state.limits, Limits(Settings(caller_limit="1/hour"))
    try:
        for o in world.those(lambda o: o.inside):
            for _ in range(2):
                answer = await world.ask(o, "compliance")
            assert code(answer) == (429, "too-many-requests"), o
            assert 0 < int(answer.headers["retry-after"]) <= 3600, o
            assert '"caller";q=1;w=3600' in answer.headers["ratelimit-policy"], o
            assert '"caller";r=0;t=' in answer.headers["ratelimit"], o
    finally:
        state.limits = usual


async def test_a_read_that_is_unchanged_is_304_without_a_body(world: World):
    for o in world.those(lambda o: "304" in o.told["responses"]):
        for who in WHO:
            answer = await world.ask(o, who)
            if answer.status_code == 200:
                break
        assert answer.status_code == 200, (o, answer.text)
        assert "etag" in answer.headers, (o, answer.status_code, answer.text)
        tag = answer.headers["etag"]
        for seen, status in ((tag, 304), (f'"x", {tag}', 304), ("*", 304), ('"x"', 200)):
            again = await world.ask(o, who, headers={"If-None-Match": seen})
            assert again.status_code == status, (o, seen)
            assert again.headers["etag"] == tag, o
            assert bool(again.content) == (status == 200), o
        endless = await world.ask(o, who, headers={"If-None-Match": tag * 1000})
        assert code(endless) == (400, "bad-parameter"), o


@pytest.mark.parametrize(
    ("kind", "beyond"),
    [
        (
            "date-time",
            ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00"),
        ),
        ("date", ("0001-01-01", "9999-12-31")),
    ],
)
async def test_a_time_that_no_clock_or_database_can_reckon_with_is_refused(
    world: World, kind: str, beyond: tuple[str, ...]
):
    asked = 0
    for o in world.those(lambda o: o.inside and JSON in o.takes):
        body = world.body(o)["json"]
        for field in world.dated(o, kind):
            for value in beyond:
                who = "receptionist" if o.name in JUDGED_WHOLE else "admin"
                answer = await world.ask(o, who, json=body | {field: value})
                asked += 1
                assert _faults(answer) >= {f"/{field}"}, (o.name, field, value, answer.text)
    for o in world.those(lambda o: o.inside and o.method == "GET"):
        for name in [p["name"] for p in o.told.get("parameters", ()) if _format(p) == kind]:
            for value in beyond:
                answer = await world.ask(o, params={name: value})
                asked += 1
                assert _faults(answer) >= {f"/{name}"}, (o.name, name, value, answer.text)
    assert asked > 10


async def test_an_hour_of_the_day_is_of_no_zone(world: World):
    (entering,) = world.those(lambda o: o.name == "enter_waitlist")
    for field in ("not_before", "not_after"):
        for value in (0, 1.5, "09:00Z", "09:00:01"):
            answer = await world.ask(entering, json={field: value})
            assert _faults(answer) == {f"/{field}"}, answer.text


def _faults(answer: httpx.Response) -> set[str]:
    return {e["pointer"] for e in answer.json()["errors"]}


def _format(field: dict[str, Any]) -> str:
    schema = field.get("schema", field)
    return next((s["format"] for s in schema.get("anyOf", [schema]) if "format" in s), "")


async def test_a_slash_too_many_leads_nowhere_and_to_nobodys_host(world: World):
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    answer = await world.matrix.api.http.get("/v1/patients/", headers=headers)
    assert code(answer) == (404, "not-found")


async def test_a_page_has_bounds_and_its_link_leads_where_its_cursor_does(world: World):
    onward = set()
    for o in world.those(lambda o: "cursor" in o.parameters):
        for query in ({"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"cursor": "!"}):
            refused = await world.ask(o, params=query)
            assert code(refused) == (400, "bad-parameter"), (o, query)
        for who in WHO if o.method == "GET" else ():
            page = await world.ask(o, who, params={"limit": "1"})
            if page.status_code == 200:
                onward |= {o.name} if await _goes_on(world, o, who, page) else set()
    assert len(onward) > 10


async def _goes_on(world: World, o: Operation, who: str, page: httpx.Response) -> bool:
    links = {
        name: target for target, name in re.findall(r'<([^>]*)>; rel="(\w+)"', page.headers["link"])
    }
    assert urlsplit(links["first"]).path == world.address(o), o
    cursor = page.json()["next_cursor"]
    assert ("next" in links) == (cursor is not None), o
    if cursor is None:
        return False
    assert parse_qs(urlsplit(links["next"]).query) == {"limit": ["1"], "cursor": [cursor]}
    http, bearer = world.matrix.api.http, world.matrix.bearers[who]
    following = await http.get(links["next"], headers=bearer)
    assert following.status_code == 200, following.text
    assert following.json()["items"] != page.json()["items"], o
    return True


async def test_head_answers_like_get_without_a_body(world: World):
    for o in world.reads():
        whole = await world.ask(o)
        bare = await world.ask(o, method="HEAD")
        assert bare.status_code == whole.status_code, o
        assert bare.content == b"", o
        assert _lasting(bare) == _lasting(whole), o


def _lasting(answer: httpx.Response) -> dict[str, str]:
    changing = {"x-request-id", "ratelimit", "date", "content-length"}
    return {n: v for n, v in answer.headers.items() if n not in changing}


async def test_options_and_405_say_which_methods_a_path_has(world: World):
    for path in world.document["paths"]:
        there = [o for o in world.operations if o.path == path]
        expected = {o.method for o in there} | {"OPTIONS"}
        expected |= {"HEAD"} if "GET" in expected else set()
        said = await world.ask(there[0], method="OPTIONS", headers={"Authorization": ""})
        assert (said.status_code, said.content) == (204, b""), path
        assert set(said.headers["allow"].split(", ")) == expected, path
        refused = await world.ask(there[0], method="TRACE")
        assert code(refused) == (405, "method-not-allowed"), path
        assert refused.headers["allow"] == said.headers["allow"], path


async def test_the_scopes_an_operation_names_are_enough_and_each_is_needed(world: World):
    """Nothing is lost to a token that has just them; without one of them it is 403, and says which it should have had."""
    capped = 0
    for o in world.those(lambda o: o.inside):
        ((words,), _) = (list(asked.values()) for asked in o.told["security"])
        who, usual = await _served(world, o)
        exact = await world.ask(o, who, headers=_lent(world, who, words or [UNRELATED]))
        assert _told(exact) == _told(usual), (o, who, exact.text)
        for word in words:
            rest = [w for w in words if w != word]
            refused = await world.ask(o, who, headers=_lent(world, who, [*rest, UNRELATED]))
            assert code(refused) == (403, "insufficient-scope"), (o, word)
            asked = f'Bearer error="insufficient_scope", scope="{" ".join(words)}"'
            assert refused.headers["www-authenticate"] == asked, o
            capped += 1
    assert capped > 150


async def _served(world: World, o: Operation) -> tuple[str, httpx.Response]:
    """Return who gets furthest with an operation, and what they hear."""
    heard = [(who, await world.ask(o, who)) for who in WHO]
    return min(heard, key=lambda told: (not told[1].is_success, told[1].status_code in (403, 404)))


def _lent(world: World, who: str, words: list[str]) -> dict[str, str]:
    """Return the token of somebody's login with another scope."""
    tokens = world.matrix.api.tokens
    claims = tokens.keys.verify(world.matrix.bearers[who]["Authorization"].split()[1], ACCESS)
    return {
        "Authorization": f"Bearer {tokens.keys.sign(ACCESS, claims | {'scope': ' '.join(words)})}"
    }


def _told(answer: httpx.Response) -> tuple[int, object]:
    """Return what an answer comes to: its status, its code, how many things it shows."""
    if "json" not in answer.headers.get("content-type", ""):
        return answer.status_code, len(answer.content)
    body = answer.json()
    return answer.status_code, body.get("code", len(body.get("items", body)))
