"""The whole way of a login: page, code, tokens, and every way it is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.logins import CALLBACK, ISSUER, NAME, Service, serve


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with serve(database_url, tmp_path) as running:
        yield running


async def test_nobody_is_sent_to_an_address_that_is_not_registered(service: Service):
    for uri in (
        "https://evil.example/callback",
        "http://127.0.0.1:80@evil.example/callback",
        "http://127.0.0.1:54321/callback/..",
        "http://127.0.0.1:54321/callback?x=1",
        "http://127.0.0.1:5432100/callback",
        "http://127.0.0.1:/callback",
        "https://127.0.0.1:54321/callback",
        "http://localhost:54321/callback",
        "javascript:alert(1)",
        '"><script>alert(1)</script>',
        "http://127.0.0.1:54321/callback\u2028",
    ):
        login = await service.log_in(redirect_uri=uri)
        for answer in (login.page, login.answer):
            assert answer.status_code == 400, uri
            assert "location" not in answer.headers
            assert "<script" not in answer.text


async def test_an_unknown_client_is_told_on_a_page_and_not_by_a_redirect(service: Service):
    login = await service.log_in(client_id="nobody")
    assert login.page.status_code == 400
    assert "location" not in login.page.headers


async def test_a_repeated_parameter_is_refused(service: Service):
    answer = await service.http.get("/oauth/authorize?client_id=confide-cli&client_id=confide-docs")
    assert answer.status_code == 400
    assert "repeated" in answer.text


async def test_a_registered_client_is_told_what_is_wrong(service: Service):
    for given, error in (
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"scope": "nothing we know"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
        ({"request": "e30.e30."}, "request_not_supported"),
    ):
        login = await service.log_in(**given)
        login.answer = login.page
        assert login.page.status_code == 303, given
        assert login.page.headers["location"].startswith(CALLBACK + "?")
        assert login.returned["error"] == error
        assert login.returned["state"] == "a state & more"
        assert login.returned["iss"] == ISSUER


async def test_a_wrong_password_and_an_unknown_user_are_answered_alike(service: Service):
    form = (await service.log_in()).asked | {"password": "no"}
    wrong, unknown = [
        await service.http.post("/oauth/authorize", data=form | {"username": name})
        for name in (NAME, "nobody@demo")
    ]
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    assert "location" not in wrong.headers
    assert NAME not in wrong.text


async def test_a_form_that_another_site_sends_is_refused(service: Service):
    login = await service.log_in()
    form = login.asked | {"username": NAME, "password": "correct horse"}
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        answer = await service.http.post("/oauth/authorize", data=form, headers=headers)
        assert answer.status_code == 403
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "null"}
    assert (await service.http.post("/oauth/authorize", data=form, headers=own)).status_code == 303


async def test_a_login_ends_in_tokens_that_the_api_takes(service: Service):
    login = await service.log_in()
    assert login.answer.status_code == 303
    assert login.answer.headers["location"].startswith(CALLBACK + "?")
    assert login.returned["state"] == "a state & more"
    assert login.returned["iss"] == ISSUER
    answer = await service.redeem(login.code, login.verifier)
    assert answer.headers["cache-control"] == "no-store"
    given = answer.json()
    assert given["token_type"] == "Bearer"
    assert given["expires_in"] == 600
    assert given["scope"] == "openid profile"
    me = await service.me(given["access_token"])
    assert me.status_code == 200
    assert me.json()["account_id"] == str(service.account.id)
    assert me.json()["purpose"] == "TREAT"


async def test_the_id_token_is_signed_for_the_client_by_a_published_key(service: Service):
    given = await service.grant()
    keys = KeySet.import_key_set((await service.http.get("/oauth/jwks")).json())
    token = jwt.decode(given["id_token"], keys, ["ES256"])
    assert token.claims["iss"] == ISSUER
    assert token.claims["aud"] == "confide-cli"
    assert token.claims["sub"] == str(service.account.id)
    assert token.claims["nonce"] == "n-1"
    assert (await service.me(given["id_token"])).status_code == 401


async def test_published_keys_are_public_halves_only(service: Service):
    (key,) = (await service.http.get("/oauth/jwks")).json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


async def test_a_scope_that_is_not_known_is_left_out_and_said_so(service: Service):
    given = await service.grant(scope="openid launch user/Record.sr system/*.rs user/Record.rs")
    assert given["scope"] == "openid user/Record.rs"


@pytest.mark.parametrize(
    "form",
    [
        {"code_verifier": "x" * 43},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:1/callback"},
        {"client_id": "confide-docs"},
        {"client_id": "nobody"},
        {"code": "x"},
        {"grant_type": "password"},
    ],
)
async def test_a_code_is_nothing_without_all_that_it_was_asked_for_with(
    service: Service, form: dict[str, str]
):
    login = await service.log_in()
    usual = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    usual |= {"code": login.code, "code_verifier": login.verifier}
    answer = await service.token(**usual | form)
    assert answer.status_code == 400
    assert "access_token" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) <= {"error", "error_description"}
    assert (await service.token(**usual)).status_code == 200


async def test_a_replayed_code_ends_the_session_it_began(service: Service):
    login = await service.log_in()
    first = (await service.redeem(login.code, login.verifier)).json()
    again = await service.redeem(login.code, login.verifier)
    assert again.status_code == 400
    assert again.json()["error"] == "invalid_grant"
    assert (await service.refresh(first["refresh_token"])).status_code == 400
    assert (await service.me(first["access_token"])).status_code == 401
    assert [e for e in await service.events() if '"code-replayed"' in e]


async def test_of_racing_uses_of_one_code_one_succeeds_and_the_session_ends(service: Service):
    login = await service.log_in()
    uses = (service.redeem(login.code, login.verifier) for _ in range(20))
    answers = sorted(await asyncio.gather(*uses), key=lambda a: a.status_code)
    assert [a.status_code for a in answers] == [200] + [400] * 19
    assert (await service.refresh(answers[0].json()["refresh_token"])).status_code == 400


async def test_a_code_is_good_for_a_minute(service: Service):
    login = await service.log_in()
    (row,) = await service.sql("SELECT expires_at - auth_time AS life FROM oauth_code")
    assert 59 < row["life"].total_seconds() < 61
    await service.sql("UPDATE oauth_code SET expires_at = now() - interval '1 second'")
    assert (await service.redeem(login.code, login.verifier)).status_code == 400


async def test_of_codes_and_refresh_tokens_only_hashes_are_kept(service: Service):
    login = await service.log_in()
    given = (await service.redeem(login.code, login.verifier)).json()
    rows = await service.sql(
        "SELECT c::text FROM oauth_code c UNION ALL SELECT r::text FROM oauth_refresh_token r"
    )
    stored = " ".join(str(tuple(row)) for row in rows)
    for secret in (login.code, given["refresh_token"]):
        assert secret not in stored
        assert secret.encode().hex() not in stored


async def test_no_event_of_a_login_holds_the_name_that_was_typed(service: Service):
    await service.log_in()
    await service.log_in(password="no")
    await service.log_in("somebody.else@demo", "no")
    events = [json.loads(e) for e in await service.events()]
    outcomes = [(e["action"], e["outcome"], e["actor"]) for e in events]
    assert sorted(outcomes, key=str) == sorted(
        [
            ("login", "allow", str(service.account.id)),
            ("login", "deny", None),
            ("login", "deny", None),
        ],
        key=str,
    )
    assert "demo" not in json.dumps(events)
    assert {e["endpoint"] for e in events} == {"POST /oauth/authorize"}
    assert {e["network"] for e in events} == {"127.0.0.0/24"}


async def test_scripts_of_other_origins_reach_what_they_need_and_no_more(service: Service):
    login = await service.log_in()
    allowed = "access-control-allow-origin"
    assert (await service.redeem(login.code, login.verifier)).headers[allowed] == "*"
    for path in ("/oauth/jwks", "/.well-known/oauth-authorization-server"):
        assert (await service.http.get(path)).headers[allowed] == "*"
    assert allowed not in login.page.headers
    assert allowed not in (await service.http.get("/oauth/userinfo")).headers


async def test_metadata_advertises_nothing_that_is_refused(service: Service):
    told = (await service.http.get("/.well-known/openid-configuration")).json()
    assert told == (await service.http.get("/.well-known/oauth-authorization-server")).json()
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert "password" not in told["grant_types_supported"]
    assert "implicit" not in told["grant_types_supported"]
    for name, address in told.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            answer = await service.http.get(address.removeprefix(ISSUER))
            assert answer.status_code != 404, name
