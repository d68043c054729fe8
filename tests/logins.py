"""A served authorization server with two accounts, and a client that walks through it."""

import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from fastapi import FastAPI

import records.tables  # noqa: F401 - foreign keys resolve once every table is known
from api import docs, errors
from api.deps import tokens
from api.middleware import Envelope
from api.oauth import routes
from api.v1 import me
from core.crypto.keyring import FileKeyring
from core.database import Database
from core.settings import Settings
from policies.vocabulary import Role
from records.access.versions import publish_defaults
from records.clinic import Clinic
from records.identity.accounts import create
from records.identity.clients import ensure_clients
from records.identity.models import Account
from records.identity.tokens import Tokens

ISSUER = "http://127.0.0.1:8000"
CALLBACK = "http://127.0.0.1:54321/callback"
NAME, PASSWORD = "dr.adams@demo", "correct horse"


@dataclass
class Service:
    app: FastAPI
    clinic: Clinic
    http: httpx.AsyncClient
    tokens: Tokens
    account: Account
    owner: Database

    async def sql(self, statement: str, *values: Any) -> list[Any]:
        """Ask the database as its owner."""
        async with self.owner.bare() as connection:
            return await connection.fetch(statement, *values)

    async def events(self) -> list[str]:
        return [r["body"].decode() for r in await self.sql("SELECT body FROM audit.outbox")]

    async def me(self, access: str, **headers: str) -> httpx.Response:
        return await self.http.get(
            "/v1/me", headers={"Authorization": f"Bearer {access}"} | headers
        )

    async def token(self, **form: str) -> httpx.Response:
        return await self.http.post("/oauth/token", data={"client_id": "confide-cli"} | form)

    async def refresh(self, token: str, **form: str) -> httpx.Response:
        return await self.token(grant_type="refresh_token", refresh_token=token, **form)

    async def redeem(self, code: str, verifier: str, **form: str) -> httpx.Response:
        given = {"code": code, "code_verifier": verifier, "redirect_uri": CALLBACK}
        return await self.token(grant_type="authorization_code", **given | form)

    async def log_in(self, name: str = NAME, password: str = PASSWORD, **given: str) -> "Login":
        """Open the login page and send its form as a browser would."""
        login = Login(**given)
        page = await self.http.get("/oauth/authorize", params=login.asked)
        login.page = page
        form = hidden(page.text) | {"username": name, "password": password}
        login.answer = await self.http.post("/oauth/authorize", data=form)
        return login

    async def grant(self, **given: str) -> dict[str, Any]:
        """Return the tokens of a whole login."""
        login = await self.log_in(**given)
        answer = await self.redeem(login.code, login.verifier)
        assert answer.status_code == 200, answer.text
        return answer.json()


class Login:
    """One authorization request, its page and its answer."""

    page: httpx.Response
    answer: httpx.Response

    def __init__(self, **given: str) -> None:
        self.verifier = secrets.token_urlsafe(48)
        challenge = urlsafe_b64encode(sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        usual = {
            "response_type": "code",
            "client_id": "confide-cli",
            "redirect_uri": CALLBACK,
            "scope": "openid profile",
            "state": "a state & more",
            "nonce": "n-1",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        self.asked = {k: v for k, v in (usual | given).items() if v}

    @property
    def returned(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.answer.headers["location"]).query))

    @property
    def code(self) -> str:
        return self.returned["code"]


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return {unescape(name): unescape(value) for name, value in found}


@asynccontextmanager
async def serve(database_url: str, home: Path, issuer: str = ISSUER) -> AsyncIterator[Service]:
    """Open a clinic with one doctor on a fresh database, and serve its logins."""
    chosen = Settings(
        home=home, environment="development", database_url=database_url, issuer=issuer
    )
    owner = Database(database_url, size=2)
    await owner.open()
    async with owner.transaction() as session:
        await publish_defaults(session)
        await ensure_clients(session, chosen.issuer)
    keys = FileKeyring.create(home / "keyring.json")
    async with Clinic.open(database_url, keys, deadline=5) as clinic:
        app = application(chosen, clinic)
        async with clinic.database.transaction() as session:
            account = await create(
                session,
                clinic.indexes,
                username=NAME,
                password=PASSWORD,
                roles=[Role.DOCTOR],
                label="Dr Adams",
            )
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=issuer) as http:
            made = tokens(_Asking(app))  # type: ignore[arg-type]
            yield Service(app, clinic, http, made, account, owner)
    await owner.close()


def application(chosen: Settings, clinic: Clinic) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)
    app.state.settings, app.state.clinic = chosen, clinic
    app.add_middleware(Envelope)
    errors.install(app)
    app.include_router(routes.router)
    app.include_router(docs.router)
    app.include_router(me.router, prefix="/v1")
    return app


@dataclass
class _Asking:
    app: FastAPI
