"""The whole API over a small clinic, spoken to through HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.datastructures import State

from api.app import create_app
from core import logging
from core.settings import Settings
from records.access.me import Me
from records.clinic import Clinic
from records.identity import sessions
from records.identity.tokens import Tokens
from tests.clinics import People, keyring, populate

_idle: list[FastAPI] = []
"""Applications that were made and that nobody has now."""


@dataclass
class Api:
    """One running API. `get` and `post` speak as somebody of the clinic."""

    app: FastAPI
    http: httpx.AsyncClient
    clinic: Clinic
    people: People
    tokens: Tokens

    async def bearer(self, me: Me) -> dict[str, str]:
        async with self.clinic.database.transaction() as session:
            family = await sessions.start(
                session, me.subject.id, "confide-cli", "openid", self.tokens.life
            )
        return {"Authorization": f"Bearer {self.tokens.access(family)}"}

    async def get(self, me: Me, path: str, **options: Any) -> httpx.Response:
        return await self.http.get(path, headers=await self.bearer(me), **options)

    async def post(self, me: Me, path: str, body: object, **options: Any) -> httpx.Response:
        return await self.http.post(path, headers=await self.bearer(me), json=body, **options)

    async def patch(self, me: Me, path: str, body: object, tag: str | None) -> httpx.Response:
        headers = await self.bearer(me) | ({"If-Match": tag} if tag else {})
        return await self.http.patch(path, headers=headers, json=body)


@contextmanager
def lent(chosen: Settings) -> Iterator[FastAPI]:
    """Lend an application, which takes longer to make than most tests take: all it learns of a clinic is in its state."""
    app = create_app(chosen) if chosen.otlp_endpoint or not _idle else _idle.pop()
    app.state = State({"settings": chosen})
    logging.configure(process="api")
    yield app
    if not chosen.otlp_endpoint:
        _idle.append(app)


@asynccontextmanager
async def serve(
    database_url: str, home: Path, fill: Callable[[Clinic], Awaitable[People]] = populate
) -> AsyncIterator[Api]:
    """Serve a clinic; `fill` puts people into it, or finds those who are there."""
    settings = Settings(home=home, environment="development", database_url=database_url)
    keyring(home)
    with lent(settings) as app:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url=settings.issuer) as http,
        ):
            clinic: Clinic = app.state.clinic
            yield Api(app, http, clinic, await fill(clinic), Tokens.of(settings))
