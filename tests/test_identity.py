"""Accounts, passwords, and who stands behind a token now."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from uuid import uuid4

import pytest
from fastapi import APIRouter, Request

from api.deps import Transaction, network, origin
from core.database import Database
from core.errors import Conflict, Forbidden, NotFound, Throttled
from core.settings import Settings
from core.windows import Limit
from policies.vocabulary import Role
from records.audit.event import Origin
from records.identity import accounts, attempts, tokens
from records.identity.attempts import NEAR
from records.identity.clients import ensure_clients, redirects_to
from records.identity.passwords import Passwords
from tests.logins import NAME, PASSWORD, Service, serve

HERE = Origin("test", "request", network="10.0.0.0/24")


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with serve(database_url, tmp_path) as running:
        yield running


async def test_a_password_is_no_use_to_an_unknown_user():
    checker = Passwords(8, 1)
    assert await checker.verify("anything", None) == (False, None)


async def test_a_hash_of_another_cost_is_renewed_by_a_right_password_only():
    cheap, dear = Passwords(8, 1), Passwords(16, 1)
    stored = await cheap.hash("secret")
    assert await dear.verify("wrong", stored) == (False, None)
    right, renewed = await dear.verify("secret", stored)
    assert right
    assert renewed
    assert "m=16," in renewed
    assert await dear.verify("secret", renewed) == (True, None)


async def test_what_is_no_hash_is_nobodys_password():
    assert await Passwords(8, 1).verify("", "") == (False, None)
    assert await Passwords(8, 1).verify("x", "x") == (False, None)


async def test_a_password_is_the_same_however_its_accents_are_composed():
    checker = Passwords(8, 1)
    stored = await checker.hash("caf\u00e9 noir")
    assert (await checker.verify("cafe\u0301 noir", stored))[0]


async def test_half_a_character_is_a_wrong_password_and_not_an_error_of_ours():
    checker = Passwords(8, 1)
    assert await checker.verify("a\ud800", await checker.hash("a?")) == (False, None)


async def test_a_login_renews_the_hash_when_the_cost_has_changed(service: Service):
    old = await Passwords(16, 3).hash(PASSWORD)
    await service.sql("UPDATE account SET password_hash = $1", old)
    assert await accounts.authenticate(service.clinic, NAME, PASSWORD, HERE)
    (row,) = await service.sql("SELECT password_hash FROM account")
    assert row["password_hash"] != old
    assert "t=3," not in row["password_hash"]
    assert await accounts.authenticate(service.clinic, NAME, PASSWORD, HERE)


async def test_unknown_users_cost_as_much_as_wrong_passwords(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    real = Passwords(19_456, 2)
    monkeypatch.setattr(accounts, "passwords", lambda: real)
    await service.sql("UPDATE account SET password_hash = $1", await real.hash(PASSWORD))

    async def seconds(name: str) -> float:
        began = time.perf_counter()
        assert (
            await accounts.authenticate(service.clinic, name, "wrong", Origin("t", "r", name))
            is None
        )
        return time.perf_counter() - began

    known, unknown = [], []
    for turn in range(8):
        known.append(await seconds(NAME))
        unknown.append(await seconds(f"nobody{turn}@demo"))
    assert 0.5 < median(unknown) / median(known) < 2
    assert median(unknown) > 0.01, "Argon2 ran"


async def test_the_login_name_is_stored_nowhere(service: Service):
    (row,) = await service.sql("SELECT a::text AS account FROM account a")
    assert "demo" not in row["account"]
    assert NAME.encode().hex() not in row["account"]


async def test_a_login_name_is_one_accounts_alone_whatever_its_case(service: Service):
    with pytest.raises(Conflict):
        async with service.clinic.database.transaction() as session:
            await accounts.create(
                session,
                service.clinic.indexes,
                username=NAME.upper(),
                password="x",
                roles=[Role.NURSE],
            )


async def test_a_login_name_is_the_same_however_its_accents_are_composed(service: Service):
    login = service.clinic.indexes.login
    assert login("Zoë@clinic.example") == login("zoe\u0308@clinic.example ")


async def test_a_name_longer_than_any_is_nobodys_and_not_an_error_of_ours(service: Service):
    assert (await service.log_in("x" * 70_000, PASSWORD)).answer.status_code == 401


async def test_the_eleventh_try_waits_and_so_does_it_for_unknown_users(service: Service):
    for name in (NAME, "nobody@demo"):
        for _ in range(NEAR.amount):
            assert (await service.log_in(name, "wrong")).answer.status_code == 401
    known = (await service.log_in(NAME, PASSWORD)).answer
    unknown = (await service.log_in("nobody@demo", PASSWORD)).answer
    for answer in (known, unknown):
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= NEAR.seconds
    assert len([e for e in await service.events() if '"throttled"' in e]) == 2


async def test_parallel_tries_are_counted_before_they_are_judged(service: Service):
    async def attempt() -> object:
        try:
            return await accounts.authenticate(service.clinic, NAME, "wrong", HERE)
        except Throttled as error:
            return error

    answers = await asyncio.gather(*(attempt() for _ in range(NEAR.amount + 5)))
    assert sum(isinstance(a, Throttled) for a in answers) == 5


async def test_tries_from_another_network_and_after_the_window_are_free(service: Service):
    database = service.clinic.database
    for _ in range(NEAR.amount):
        await attempts.count(database, b"login", "10.0.0.0/24")
    with pytest.raises(Throttled):
        await attempts.count(database, b"login", "10.0.0.0/24")
    await attempts.count(database, b"login", "10.0.1.0/24")
    await attempts.count(database, b"other", "10.0.0.0/24")
    await service.sql("UPDATE tally SET ends_at = now()")
    await attempts.count(database, b"login", "10.0.0.0/24")


async def test_a_crowd_of_networks_does_not_guess_at_one_account(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempts, "ACCOUNT", Limit(20, 3600))
    database = service.clinic.database
    for number in range(20):
        await attempts.count(database, b"login", f"10.0.{number}.0/24")
    with pytest.raises(Throttled):
        await attempts.count(database, b"login", "10.9.0.0/24")
    await attempts.count(database, b"other", "10.9.0.0/24")


async def test_one_network_does_not_try_every_account_nor_use_up_what_others_may_try(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempts, "NETWORK", Limit(20, 60))
    database = service.clinic.database
    for number in range(20):
        await attempts.count(database, f"login {number}".encode(), "10.0.0.0/24")
    with pytest.raises(Throttled):
        await attempts.count(database, b"another", "10.0.0.0/24")
    monkeypatch.setattr(attempts, "ACCOUNT", Limit(15, 3600))
    for _ in range(30):
        with suppress(Throttled):
            await attempts.count(database, b"victim", "10.1.0.0/24")
    await attempts.count(database, b"victim", "10.2.0.0/24")


async def test_processes_count_tries_together(service: Service, database_url: str):
    other = Database(database_url, role="confide_app", size=2)
    await other.open()
    for number in range(NEAR.amount):
        database = other if number % 2 else service.clinic.database
        await attempts.count(database, b"login", "10.0.0.0/24")
    for database in (other, service.clinic.database):
        with pytest.raises(Throttled):
            await attempts.count(database, b"login", "10.0.0.0/24")
    await other.close()


async def test_a_token_dies_within_a_second_of_its_session_and_of_its_owners_account(
    service: Service,
):
    revoked, expired, other = [(await service.grant())["access_token"] for _ in range(3)]
    for access, end in ((revoked, "revoked_at"), (expired, "expires_at")):
        assert (await service.me(access)).status_code == 200
        session = service.tokens.verify(access).session
        await service.sql(f"UPDATE oauth_session SET {end} = now() WHERE id = $1", session)
    await asyncio.sleep(1)
    statuses = [(await service.me(access)).status_code for access in (revoked, expired, other)]
    assert statuses == [401, 401, 200]
    await service.sql("UPDATE account SET active = false")
    await asyncio.sleep(1)
    assert (await service.me(other)).status_code == 401


async def test_a_change_of_roles_acts_within_a_second(service: Service):
    access = (await service.grant())["access_token"]
    assert (await service.me(access)).json()["roles"] == ["doctor"]
    await service.sql("UPDATE account SET roles = '{compliance}'")
    await asyncio.sleep(1)
    me = (await service.me(access)).json()
    assert (me["roles"], me["purpose"]) == (["compliance"], "HCOMPL")


async def test_a_purpose_that_is_none_is_refused_and_not_echoed(service: Service):
    access = (await service.grant())["access_token"]
    refused = await service.me(access, **{"X-Purpose-Of-Use": "CURIOSITY"})
    assert refused.status_code == 400
    assert [e["pointer"] for e in refused.json()["errors"]] == ["/x-purpose-of-use"]
    assert "CURIOSITY" not in refused.text
    stated = await service.me(access, **{"X-Purpose-Of-Use": "ETREAT"})
    assert stated.json()["purpose"] == "ETREAT"


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("", ""),
        ("a name", ""),
    ],
)
def test_of_an_address_the_network_is_kept(host: str, near: str):
    assert network(host) == near


async def test_an_origin_names_the_route_and_never_the_path(service: Service):
    router = APIRouter()

    @router.get("/things/{thing}")
    async def thing(thing: str, request: Request) -> str:  # noqa: ARG001
        return origin(request).endpoint

    service.app.include_router(router, prefix="/v1")
    answer = await service.http.get(f"/v1/things/{uuid4()}")
    assert answer.json() == "GET /v1/things/{thing}"


async def test_a_transaction_is_committed_before_its_answer_leaves(service: Service):
    router = APIRouter()

    @router.post("/deactivate")
    async def deactivate(transaction: Transaction) -> str:
        await (await transaction.connection()).exec_driver_sql("UPDATE account SET active = false")
        return "done"

    service.app.include_router(router)
    seen: list[bool] = []

    async def answered(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            (row,) = await service.sql("SELECT active FROM account")
            seen.append(row["active"])

    async def nothing() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http", "method": "POST", "path": "/deactivate", "raw_path": b"/deactivate",
        "query_string": b"", "headers": [], "scheme": "http", "server": ("x", 80),
        "client": ("127.0.0.1", 1), "root_path": "", "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip
    await service.app(scope, nothing, answered)  # type: ignore[arg-type]
    assert seen == [False]


@pytest.mark.parametrize(
    ("registered", "given", "right"),
    [
        ("http://127.0.0.1/callback", "http://127.0.0.1:1234/callback", True),
        ("http://127.0.0.1/callback", "http://127.0.0.1/callback", True),
        ("http://127.0.0.1/callback", "http://127.0.0.1:1234/callback/", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1:1234/callback\n", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1:\u0661/callback", False),
        ("http://127.0.0.1/callback", "http://127.0.0.2:1234/callback", False),
        ("http://127x0x0x1/callback", "http://127.0.0.1:1234/callback", False),
        ("http://[::1]/callback", "http://[::1]:1234/callback", True),
        ("https://app.example/cb", "https://app.example:1234/cb", False),
        ("https://app.example/cb", "https://app.example/cb?x=1", False),
    ],
)
def test_an_address_matches_to_the_letter_but_for_a_loopbacks_port(
    registered: str, given: str, right: bool
):
    assert redirects_to(registered, given) is right


async def test_registering_our_clients_again_moves_their_addresses(service: Service):
    async with service.clinic.database.transaction() as session:
        await ensure_clients(session, "https://confide.example")
    rows = await service.sql("SELECT id, redirect_uris FROM oauth_client ORDER BY id")
    assert {r["id"]: r["redirect_uris"] for r in rows} == {
        "confide-cli": ["http://127.0.0.1/callback"],
        "confide-docs": ["https://confide.example/docs/oauth2-redirect"],
    }


async def test_a_token_without_a_password_is_for_development_only(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    there = service.app.state.settings
    monkeypatch.setattr(tokens, "settings", lambda: there)
    with pytest.raises(NotFound):
        await tokens.issue_for(service.clinic, "nobody@demo")
    access = await tokens.issue_for(service.clinic, NAME)
    assert (await service.me(access)).json()["account_id"] == str(service.account.id)
    assert len([e for e in await service.events() if "confide token" in e]) == 1
    production = Settings(home=there.home, environment="production")
    monkeypatch.setattr(tokens, "settings", lambda: production)
    with pytest.raises(Forbidden):
        await tokens.issue_for(service.clinic, NAME)


async def test_a_verified_token_is_not_verified_again(service: Service):
    access = (await service.grant())["access_token"]
    service.tokens.verify(access)
    began = time.thread_time()
    for _ in range(1000):
        service.tokens.verify(access)
    assert (time.thread_time() - began) / 1000 < 20e-6, "far below the cost of a signature"
