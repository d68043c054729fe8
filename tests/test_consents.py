"""Consent: asked for once, for what it was given, and taken back by who gave it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.apis import Api, serve
from tests.clinics import outbox
from tests.logins import hidden
from tests.test_clients import register
from tests.test_mfa import begin, finish, go_on

CHARTS = {
    "client_name": "Growth charts",
    "token_endpoint_auth_method": "none",
    "redirect_uris": ["https://charts.example/callback"],
    "scope": "openid user/Patient.rs user/Record.rs",
}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def visit(api: Api, client: dict, scope: str = "openid user/Patient.rs", **given: str) -> Any:
    its = {"client_id": client["client_id"], "redirect_uri": CHARTS["redirect_uris"][0]}
    return await begin(api, "nurse@test", scope=scope, **its, **given)


def asks(answer: httpx.Response) -> bool:
    return answer.status_code == 200 and "Your consent" in answer.text


async def agreed(api: Api, client: dict, **given: str) -> dict[str, Any]:
    login, page = await visit(api, client, **given)
    assert asks(page)
    return await finish(api, login, await go_on(api, page, consent="yes"))


async def test_consent_is_asked_for_once(api: Api):
    client = await register(api, CHARTS)
    await agreed(api, client)
    login, answer = await visit(api, client)
    assert (await finish(api, login, answer))["scope"] == "openid user/Patient.rs"


async def test_less_than_was_agreed_to_is_not_asked_about_and_more_is(api: Api):
    client = await register(api, CHARTS)
    await agreed(api, client)
    assert not asks((await visit(api, client, "openid"))[1])
    assert asks((await visit(api, client, "openid user/Record.rs"))[1])
    await agreed(api, client, scope="openid user/Record.rs")
    assert not asks((await visit(api, client, "user/Patient.rs user/Record.rs"))[1])


async def test_a_refusal_is_not_remembered_and_takes_nothing_back(api: Api):
    client = await register(api, CHARTS)
    _, page = await visit(api, client)
    assert (await go_on(api, page, consent="no")).status_code == 303
    assert asks((await visit(api, client))[1])


async def test_what_says_neither_yes_nor_no_is_no_answer(api: Api):
    client = await register(api, CHARTS)
    _, page = await visit(api, client)
    assert asks(await go_on(api, page, consent="maybe"))


async def test_consent_is_for_one_account_and_one_client(api: Api):
    client, other = await register(api, CHARTS), await register(api, CHARTS)
    await agreed(api, client)
    assert asks((await visit(api, other))[1])
    its = {"client_id": client["client_id"], "redirect_uri": CHARTS["redirect_uris"][0]}
    assert asks((await begin(api, "admin@test", scope="openid", **its))[1])


async def test_a_client_may_want_to_be_asked_about_again(api: Api):
    client = await register(api, CHARTS)
    await agreed(api, client)
    for prompt in ("consent", "login consent"):
        assert asks((await visit(api, client, prompt=prompt))[1])


async def test_a_login_that_was_not_asked_says_nothing_anew(api: Api):
    client = await register(api, CHARTS)
    await agreed(api, client)
    (before,) = (await api.get(api.people.nurse, "/v1/me/applications")).json()["items"]
    login, answer = await visit(api, client)
    await finish(api, login, answer)
    (after,) = (await api.get(api.people.nurse, "/v1/me/applications")).json()["items"]
    assert after == before


async def test_nobody_is_asked_about_a_client_of_the_clinic_itself(api: Api):
    client = await register(api, CHARTS, first_party=True)
    assert not asks((await visit(api, client))[1])
    assert (await api.get(api.people.nurse, "/v1/me/applications")).json()["items"] == []


async def test_owners_see_what_they_agreed_to_and_take_it_back(api: Api, database_url: str):
    client = await register(api, CHARTS)
    given = await agreed(api, client)
    nurse, path = api.people.nurse, f"/v1/me/applications/{client['client_id']}"
    (shown,) = (await api.get(nurse, "/v1/me/applications")).json()["items"]
    assert (shown["client_name"], shown["scopes"]) == (
        "Growth charts",
        ["openid", "user/Patient.rs"],
    )
    other = await api.bearer(api.people.adams)
    assert (await api.http.delete(path, headers=other)).status_code == 404
    own = await api.bearer(nurse)
    assert (await api.http.delete(path, headers=own)).status_code == 204
    lent = {"Authorization": f"Bearer {given['access_token']}"}
    assert (await api.http.get("/v1/patients", headers=lent)).status_code == 401
    assert (await api.http.get("/v1/me", headers=own)).status_code == 200
    assert asks((await visit(api, client))[1])
    assert "consent-withdrawn" in [e["reason"] for e in await outbox(database_url)]


async def test_an_application_does_not_keep_its_own_consent(api: Api):
    client = await register(api, CHARTS)
    given = await agreed(api, client)
    lent = {"Authorization": f"Bearer {given['access_token']}"}
    path = f"/v1/me/applications/{client['client_id']}"
    assert (await api.http.delete(path, headers=lent)).status_code == 403


async def test_it_is_taken_back_on_the_account_page_without_javascript(api: Api):
    client = await register(api, CHARTS)
    await agreed(api, client)
    page = await api.http.get("/oauth/account")
    form = hidden(page.text) | {
        "username": "nurse@test",
        "password": "correct horse battery staple",
    }
    page = await api.http.post("/oauth/account", data=form)
    assert "Growth charts" in page.text
    form = {"login": hidden(page.text)["login"], "act": "withdraw", "id": client["client_id"]}
    page = await api.http.post("/oauth/account", data=form)
    assert "Growth charts" not in page.text
    assert asks((await visit(api, client))[1])
