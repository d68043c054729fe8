"""Requests that are pushed, devices that wait, sessions that are ended by their owner."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from records.identity import devices
from tests.logins import CALLBACK, NAME, PASSWORD, Login, Service, hidden, serve

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with serve(database_url, tmp_path) as running:
        yield running


async def push(service: Service, **given: str) -> tuple[Login, httpx.Response]:
    login = Login(**given)
    return login, await service.http.post("/oauth/par", data=login.asked)


async def open_pushed(service: Service, name: str, **given: str) -> httpx.Response:
    query = {"client_id": "confide-cli", "request_uri": name} | given
    return await service.http.get("/oauth/authorize", params=query)


async def test_a_pushed_request_is_refused_as_it_would_be_at_the_door(service: Service):
    for given, error in (
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"request_uri": "urn:x"}, "invalid_request"),
    ):
        _, answer = await push(service, **given)
        assert answer.status_code in (400, 401), given
        assert answer.json()["error"] == error
        assert "location" not in answer.headers


async def test_the_browser_carries_the_name_of_a_pushed_request_only(service: Service):
    login, pushed = await push(service)
    assert pushed.status_code == 201
    told = pushed.json()
    assert 0 < told["expires_in"] <= 600
    page = await open_pushed(service, told["request_uri"])
    assert page.status_code == 200
    page_s_own = {"challenge", "passkey"}
    assert set(hidden(page.text)) - page_s_own == {"client_id", "request_uri"}
    form = hidden(page.text) | {"username": NAME, "password": PASSWORD}
    tampered = form | {"scope": "user/*.cruds", "redirect_uri": "http://127.0.0.1:1/callback"}
    login.answer = await service.http.post("/oauth/authorize", data=tampered)
    assert login.answer.headers["location"].startswith(CALLBACK + "?")
    given = (await service.redeem(login.code, login.verifier)).json()
    assert given["scope"] == "openid profile"
    assert (await open_pushed(service, told["request_uri"])).status_code == 400, "it was used"


async def test_a_pushed_request_is_its_clients_and_ends(service: Service):
    _, pushed = await push(service)
    name = pushed.json()["request_uri"]
    assert (await open_pushed(service, name, client_id="confide-docs")).status_code == 400
    assert (await open_pushed(service, name + "x")).status_code == 400
    await service.sql("UPDATE oauth_pushed_request SET expires_at = now()")
    assert (await open_pushed(service, name)).status_code == 400


async def wait_for_login(service: Service, **given: str) -> dict[str, Any]:
    form = {"client_id": "confide-cli", "scope": "openid profile"} | given
    answer = await service.http.post("/oauth/device_authorization", data=form)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def poll(service: Service, told: dict[str, Any], **form: str) -> httpx.Response:
    return await service.token(grant_type=DEVICE, device_code=told["device_code"], **form)


async def decide(service: Service, code: str, consent: str) -> httpx.Response:
    page = await service.http.post("/oauth/device", data={"user_code": code})
    assert page.status_code == 200, page.text
    form = hidden(page.text) | {"username": NAME, "password": PASSWORD}
    asked = await service.http.post("/oauth/device", data=form)
    assert "Your consent" in asked.text
    return await service.http.post("/oauth/device", data=hidden(asked.text) | {"consent": consent})


async def test_a_device_waits_until_its_owner_lets_it_in_and_gets_tokens_once(service: Service):
    told = await wait_for_login(service)
    assert told["verification_uri"].endswith("/oauth/device")
    first = await poll(service, told)
    assert (first.status_code, first.json()["error"]) == (400, "authorization_pending")
    assert (await poll(service, told)).json()["error"] == "slow_down"
    done = await decide(service, told["user_code"].lower().replace("-", " "), "yes")
    assert "The device is logged in" in done.text
    given = (await poll(service, told)).json()
    assert (await service.me(given["access_token"])).status_code == 200
    assert given["id_token"]
    assert (await service.refresh(given["refresh_token"])).status_code == 200
    assert (await poll(service, told)).json()["error"] == "invalid_grant"


async def test_of_racing_polls_of_a_device_one_gets_tokens(service: Service):
    told = await wait_for_login(service)
    await decide(service, told["user_code"], "yes")
    answers = await asyncio.gather(*(poll(service, told) for _ in range(10)))
    assert sorted(a.status_code for a in answers) == [200] + [400] * 9


async def test_a_device_that_is_not_let_in_gets_nothing(service: Service):
    told = await wait_for_login(service)
    done = await decide(service, told["user_code"], "no")
    assert "not let in" in done.text
    assert (await poll(service, told)).json()["error"] == "access_denied"
    again = await service.http.post("/oauth/device", data={"user_code": told["user_code"]})
    assert again.status_code == 404


async def test_a_device_waits_ten_minutes_and_for_its_own_client(service: Service):
    told = await wait_for_login(service)
    other = await poll(service, told, client_id="confide-docs")
    assert other.json()["error"] in ("unauthorized_client", "invalid_grant")
    await service.sql("UPDATE oauth_device SET expires_at = now()")
    assert (await poll(service, told)).json()["error"] == "expired_token"
    late = await service.http.post("/oauth/device", data={"user_code": told["user_code"]})
    assert late.status_code == 404


async def test_codes_of_devices_are_kept_as_hashes_and_guessing_them_is_counted(service: Service):
    told = await wait_for_login(service)
    (row,) = await service.sql("SELECT d::text AS all FROM oauth_device d")
    assert told["device_code"] not in row["all"]
    assert told["user_code"] not in row["all"]
    guesses = [
        (await service.http.post("/oauth/device", data={"user_code": f"BCDF-{n}"})).status_code
        for n in range(11)
    ]
    assert guesses == [404] * 10 + [429]


def test_the_code_that_people_type_has_no_vowels_and_many_others():
    assert not set(devices.LETTERS) & set("AEIOUY")
    assert len(devices.LETTERS) ** 8 > 2**34


async def test_an_id_token_ends_its_session(service: Service):
    given = await service.grant()
    query = {"id_token_hint": given["id_token"]}
    answer = await service.http.get("/oauth/end_session", params=query)
    assert answer.status_code == 200
    assert "You are logged out" in answer.text
    assert (await service.me(given["access_token"])).status_code == 401
    assert (await service.refresh(given["refresh_token"])).status_code == 400
    assert [e for e in await service.events() if '"logout"' in e]
    assert (await service.http.get("/oauth/end_session", params=query)).status_code == 200


async def test_a_logout_leads_to_registered_addresses_only(service: Service):
    given = await service.grant()
    home = "https://charts.example/bye"
    query = {"id_token_hint": given["id_token"], "post_logout_redirect_uri": home, "state": "a b"}
    answer = await service.http.post("/oauth/end_session", data=query)
    assert "location" not in answer.headers
    await service.sql(
        "UPDATE oauth_client SET post_logout_redirect_uris = $1 WHERE id = 'confide-cli'", [home]
    )
    answer = await service.http.get("/oauth/end_session", params=query)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{home}?state=a+b")


async def test_what_is_no_id_token_of_the_client_ends_nothing(service: Service):
    given = await service.grant()
    for query in (
        {"id_token_hint": given["access_token"]},
        {"id_token_hint": given["id_token"] + "x"},
        {"id_token_hint": given["id_token"], "client_id": "confide-docs"},
        {},
    ):
        answer = await service.http.get("/oauth/end_session", params=query)
        assert answer.status_code == (400 if query else 200)
    assert (await service.me(given["access_token"])).status_code == 200
