"""`Idempotency-Key` on what creates: the first request makes the thing, the same one again gets the same answer.

A creating route says once which route shows again what it made; that one decides and notes the reading of it as always
(docs/adr/0008-idempotency.md, docs/adr/0035-one-way-to-make-things-once.md).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
from fastapi import Depends, Header, Request, Response

from api.deps import clinic as clinic_of
from api.etags import etag
from api.json import Json
from api.paging import Span
from core.database import Store
from core.errors import NotFound
from records.access.gate import HIDDEN
from records.once import claim, keep

REPLAYED: Final = "Idempotent-Replayed"
KEY: Final = "idempotency-key"

Route = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Once:
    """The key of a request, if it has one."""

    request: Request
    key: str | None


async def _once(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="yours, unique a thing made: the same request again within 24 h gets the same answer",
        ),
    ] = None,
) -> Once:
    return Once(request, idempotency_key)


Idempotent = Annotated[Once, Depends(_once)]


async def _store(request: Request) -> AsyncIterator[Store]:
    """Yield where a thing is made that takes one statement: with a key in a transaction, as key and thing belong together."""
    database = clinic_of(request).database
    if KEY not in request.headers:
        yield database
    else:
        async with database.transaction() as session:
            yield session


OneStatement = Annotated[Store, Depends(_store, scope="function")]


@dataclass(frozen=True, slots=True)
class Shown:
    """How what a route made is shown again: by the route that reads it, or by the one that lists it.

    `named` is its id in an answer, `at` the folder of its Location (the address asked, unless given; None for a thing
    without one), `secrets` what was shown once and is null from then on.
    """

    read: Route
    at: str | None = ""
    named: str = "id"
    status: int = 201
    secrets: tuple[str, ...] = ()

    async def again(self, given: Mapping[str, Any], made: UUID, request: Request) -> Response:
        """Answer a request like the one that made a thing."""
        known = {**given, "request": request}
        asked = [n for n, p in signature(self.read).parameters.items() if p.default is p.empty]
        arguments = {name: known[name] for name in asked if name in known}
        missing = [name for name in asked if name not in known]
        if missing == ["page"]:
            arguments["page"] = Span(1, UUID(int=made.int - 1), request)
        elif missing:
            arguments[missing[0]] = made
        found = await self.read(**arguments)
        item = orjson.loads(found.body)
        if missing in ([], ["page"]):
            item = self._of(item["items"], made)
        return Json(item | dict.fromkeys(self.secrets), self.status, self._headers(item, request))

    def _of(self, items: list[dict[str, Any]], made: UUID) -> dict[str, Any]:
        for item in items:
            if item[self.named] == str(made):
                return item
        raise NotFound(HIDDEN)

    def _headers(self, item: Mapping[str, Any], request: Request) -> dict[str, str]:
        headers = {REPLAYED: "true"}
        if self.at is not None:
            headers["Location"] = f"{self.at or request.url.path}/{item[self.named]}"
        if "version" in item:
            headers["ETag"] = etag(item["version"])
        return headers


def once(read: Route, at: str | None = "", **more: Any) -> Callable[[Route], Route]:
    """Let a creating route take a key. `read`, and what is more, is how the thing is shown again (`Shown`)."""
    shown = Shown(read, at, **more)

    def with_key(route: Route) -> Route:
        @wraps(route)
        async def answer(idempotency: Once, **given: Any) -> Response:
            if idempotency.key is None:
                return await route(**given)
            request, store = idempotency.request, given.get("session") or given["store"]
            whole = await _whole(request)
            claimed = await claim(store, given["clinic"], given["me"], idempotency.key, whole)
            if claimed.made:
                return await shown.again(given, claimed.made, request)
            made = await route(**given)
            await keep(store, claimed, UUID(orjson.loads(made.body)[shown.named]))
            return made

        asked = signature(route)
        key = Parameter("idempotency", Parameter.KEYWORD_ONLY, annotation=Idempotent)
        answer.__signature__ = asked.replace(parameters=[*asked.parameters.values(), key])  # type: ignore[attr-defined]
        return answer

    return with_key


async def _whole(request: Request) -> bytes:
    """Return what makes a request this one: path, query and body."""
    return f"{request.url.path}?{request.url.query}\n".encode() + await request.body()
