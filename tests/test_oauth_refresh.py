"""Refresh tokens turn over; a used one that comes back ends the session, for good."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.logins import Service, serve


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with serve(database_url, tmp_path) as running:
        yield running


async def test_a_used_refresh_token_ends_the_session_and_the_end_is_committed(service: Service):
    first = await service.grant()
    second = (await service.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert (await service.me(second["access_token"])).status_code == 200
    again = await service.refresh(first["refresh_token"])
    assert again.status_code == 400
    assert again.json()["error"] == "invalid_grant"
    rows = await service.sql("SELECT id FROM oauth_session WHERE revoked_at IS NOT NULL")
    assert len(rows) == 1
    assert (await service.refresh(second["refresh_token"])).status_code == 400
    await asyncio.sleep(1)
    assert (await service.me(second["access_token"])).status_code == 401
    assert [e for e in await service.events() if '"refresh-replayed"' in e]


async def test_of_fifty_racing_uses_of_one_refresh_token_one_succeeds(service: Service):
    given = await service.grant()
    answers = await asyncio.gather(*(service.refresh(given["refresh_token"]) for _ in range(50)))
    assert sorted(a.status_code for a in answers) == [200] + [400] * 49


async def test_a_refresh_token_is_no_access_token(service: Service):
    given = await service.grant()
    assert (await service.me(given["refresh_token"])).status_code == 401


async def test_a_refresh_token_serves_its_own_client_only(service: Service):
    given = await service.grant()
    assert (
        await service.refresh(given["refresh_token"], client_id="confide-docs")
    ).status_code == 400
    assert (await service.refresh(given["refresh_token"])).status_code == 200


async def test_a_refresh_may_ask_for_less_and_not_for_more(service: Service):
    given = await service.grant(scope="openid")
    more = await service.refresh(given["refresh_token"], scope="openid profile")
    assert more.json()["error"] == "invalid_scope"
    given = await service.grant()
    less = await service.refresh(given["refresh_token"], scope="openid")
    assert less.json()["scope"] == "openid"


async def test_renewing_does_not_make_a_session_last_longer(service: Service):
    given = await service.grant()
    await service.refresh(given["refresh_token"])
    rows = await service.sql("SELECT DISTINCT expires_at FROM oauth_refresh_token")
    assert len(rows) == 1
    await service.sql("UPDATE oauth_session SET expires_at = now() - interval '1 second'")
    fresh = await service.grant()
    assert (await service.me(fresh["access_token"])).status_code == 200
    assert (await service.me(given["access_token"])).status_code == 401


async def test_an_account_that_is_deactivated_gets_no_fresh_tokens(service: Service):
    given = await service.grant()
    await service.sql("UPDATE account SET active = false")
    assert (await service.refresh(given["refresh_token"])).status_code == 400
    assert (await service.log_in()).answer.status_code == 401


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_revoking_either_token_ends_the_session(service: Service, kind: str):
    given = await service.grant()
    form = {"client_id": "confide-cli", "token": given[kind]}
    assert (await service.http.post("/oauth/revoke", data=form)).status_code == 200
    assert (await service.refresh(given["refresh_token"])).status_code == 400
    await asyncio.sleep(1)
    assert (await service.me(given["access_token"])).status_code == 401
    assert [e for e in await service.events() if '"logout"' in e]


async def test_a_client_cannot_end_the_sessions_of_another(service: Service):
    given = await service.grant()
    form = {"client_id": "confide-docs", "token": given["refresh_token"]}
    assert (await service.http.post("/oauth/revoke", data=form)).status_code == 400
    assert (await service.refresh(given["refresh_token"])).status_code == 200


async def test_revoking_what_is_no_token_succeeds(service: Service):
    form = {"client_id": "confide-cli", "token": "nothing"}
    assert (await service.http.post("/oauth/revoke", data=form)).status_code == 200
