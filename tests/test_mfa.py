"""Second factors: enrolled, asked for, counted once; grave acts want a fresh login with both."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest

from core.crypto.envelope import DecryptError
from core.ids import new_id
from core.settings import Settings
from records.access.me import Me
from records.identity import sessions
from tests.apis import Api, serve
from tests.clinics import PASSWORD, outbox
from tests.logins import CALLBACK, Login, hidden


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def enrol(api: Api, me: Me) -> tuple[pyotp.TOTP, list[str]]:
    seed = (await api.post(me, "/v1/me/mfa/totp", {})).json()
    totp = pyotp.TOTP(seed["secret"])
    assert seed["secret"] in seed["uri"]
    assert seed["qr_svg"].startswith("<svg")
    answer = await api.post(me, "/v1/me/mfa/totp/confirm", {"code": totp.at(time.time() - 30)})
    assert answer.status_code == 200, answer.text
    return totp, answer.json()["recovery_codes"]


async def begin(api: Api, username: str, **given: str) -> tuple[Login, httpx.Response]:
    login = Login(**given)
    page = await api.http.get("/oauth/authorize", params=login.asked)
    form = hidden(page.text) | {"username": username, "password": PASSWORD}
    return login, await api.http.post("/oauth/authorize", data=form)


async def go_on(api: Api, page: httpx.Response, **typed: str) -> httpx.Response:
    return await api.http.post("/oauth/authorize", data=hidden(page.text) | typed)


async def finish(api: Api, login: Login, answer: httpx.Response) -> dict[str, Any]:
    login.answer = answer
    form = {
        "grant_type": "authorization_code",
        "client_id": login.asked["client_id"],
        "code": login.code,
        "code_verifier": login.verifier,
        "redirect_uri": login.asked["redirect_uri"],
    }
    given = await api.http.post("/oauth/token", data=form)
    assert given.status_code == 200, given.text
    return given.json()


def claims(token: str) -> dict[str, Any]:
    from base64 import urlsafe_b64decode

    return json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))


async def bearer(api: Api, me: Me, **login: Any) -> dict[str, str]:
    async with api.clinic.database.transaction() as session:
        family = await sessions.start(
            session, me.subject.id, "confide-cli", "openid", api.tokens.life, **login
        )
    return {"Authorization": f"Bearer {api.tokens.access(family)}"}


async def test_a_seed_counts_once_a_code_of_it_was_shown(api: Api):
    nurse = api.people.nurse
    await api.post(nurse, "/v1/me/mfa/totp", {})
    _, answer = await begin(api, "nurse@test")
    assert answer.status_code == 303, "nothing is enrolled yet"
    wrong = await api.post(nurse, "/v1/me/mfa/totp/confirm", {"code": "000000"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/code")
    await enrol(api, nurse)
    again = await api.post(nurse, "/v1/me/mfa/totp", {})
    assert (again.status_code, again.json()["code"]) == (409, "factor-exists")
    state = (await api.get(nurse, "/v1/me/mfa")).json()
    assert state == {"totp": True, "passkeys": 0, "recovery_codes_left": 10, "acr": "aal1"}


async def test_a_login_with_a_second_factor_needs_both_and_says_so(api: Api):
    totp, _ = await enrol(api, api.people.nurse)
    login, page = await begin(api, "nurse@test")
    assert page.status_code == 200
    assert "location" not in page.headers
    wrong = await go_on(api, page, code="000000")
    assert wrong.status_code == 401
    answer = await go_on(api, wrong, code=totp.now())
    assert answer.status_code == 303
    given = await finish(api, login, answer)
    for token in (given["access_token"], given["id_token"]):
        said = claims(token)
        assert (said["acr"], said["amr"]) == ("aal2", ["pwd", "otp", "mfa"])
        assert abs(said["auth_time"] - time.time()) < 10


async def test_a_code_counts_once_and_so_does_one_of_a_step_before(api: Api):
    totp, _ = await enrol(api, api.people.nurse)
    code, older = totp.now(), totp.at(time.time() - 30)
    for shown, status in ((code, 303), (code, 401), (older, 401)):
        _, page = await begin(api, "nurse@test")
        assert (await go_on(api, page, code=shown)).status_code == status


async def test_a_recovery_code_counts_once_however_it_is_spelled(api: Api):
    _, codes = await enrol(api, api.people.nurse)
    for shown, status in (
        (codes[0].lower().replace("-", " "), 303),
        (codes[0], 401),
        (codes[1], 303),
    ):
        _, page = await begin(api, "nurse@test")
        assert (await go_on(api, page, code=shown)).status_code == status
    state = (await api.get(api.people.nurse, "/v1/me/mfa")).json()
    assert state["recovery_codes_left"] == 8


async def test_a_recovery_code_of_somebody_else_is_worth_nothing(api: Api):
    _, codes = await enrol(api, api.people.adams)
    await enrol(api, api.people.nurse)
    _, page = await begin(api, "nurse@test")
    assert (await go_on(api, page, code=codes[0])).status_code == 401


async def test_guessing_the_second_factor_is_counted(api: Api):
    await enrol(api, api.people.nurse)
    _, page = await begin(api, "nurse@test")
    answers = [(await go_on(api, page, code=f"{n:06}")).status_code for n in range(11)]
    assert answers == [401] * 10 + [429]


async def test_what_a_page_carries_is_good_for_its_own_request_and_a_few_minutes(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    totp, _ = await enrol(api, api.people.nurse)
    _, page = await begin(api, "nurse@test")
    carried = hidden(page.text)["login"]
    other = Login(redirect_uri="http://127.0.0.1:1/callback").asked
    moved = await api.http.post(
        "/oauth/authorize", data=other | {"login": carried, "code": totp.now()}
    )
    assert moved.status_code == 401
    forged = await go_on(api, page, login=carried[:-4] + "AAAA", code=totp.now())
    assert forged.status_code == 401
    token = (await bearer(api, api.people.nurse))["Authorization"].removeprefix("Bearer ")
    assert (await go_on(api, page, login=token, code=totp.now())).status_code == 401
    as_token = await api.http.get("/v1/me", headers={"Authorization": f"Bearer {carried}"})
    assert as_token.status_code == 401
    monkeypatch.setattr("api.oauth.progress.LIFE", -1)
    _, late = await begin(api, "nurse@test")
    assert "It took too long" in (await go_on(api, late, code=totp.now())).text


async def test_a_grave_act_wants_a_fresh_login_with_both_factors_of_who_has_them(api: Api):
    admin, path = api.people.admin, f"/v1/accounts/{api.people.nurse.subject.id}/mfa"
    await enrol(api, api.people.nurse)
    one = await bearer(api, admin)
    await enrol(api, admin)
    refused = await api.http.delete(path, headers=one)
    assert (refused.status_code, refused.json()["code"]) == (401, "step-up")
    challenge = refused.headers["www-authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert 'max_age="900"' in challenge
    assert 'acr_values="aal2"' in challenge
    from datetime import timedelta

    from core.clock import now

    both = ("pwd", "otp", "mfa")
    old = await bearer(api, admin, amr=both, auth_time=now() - timedelta(seconds=901))
    assert (await api.http.delete(path, headers=old)).status_code == 401
    fresh = await bearer(api, admin, amr=both)
    assert (await api.http.delete(path, headers=fresh)).status_code == 204
    state = (await api.get(api.people.nurse, "/v1/me/mfa")).json()
    assert (state["totp"], state["recovery_codes_left"]) == (False, 0)


async def test_publishing_rules_wants_it_too(api: Api):
    await enrol(api, api.people.admin)
    headers = await bearer(api, api.people.admin) | {"If-Match": 'W/"1"'}
    path = f"/v1/policies/drafts/{new_id()}/publish"
    answer = await api.http.post(path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "step-up")


async def test_the_setting_may_want_it_of_everybody_or_of_nobody(api: Api):
    admin, path = api.people.admin, f"/v1/accounts/{api.people.nurse.subject.id}/mfa"
    home = api.app.state.settings.home
    for rule, status in (("always", 401), ("never", 204)):
        api.app.state.settings = Settings(home=home, environment="development", step_up=rule)
        assert (await api.http.delete(path, headers=await bearer(api, admin))).status_code == status


async def test_taking_ones_factor_away_needs_it(api: Api):
    await enrol(api, api.people.nurse)
    weak = await bearer(api, api.people.nurse)
    for method, path in (("DELETE", "/v1/me/mfa"), ("POST", "/v1/me/mfa/recovery-codes")):
        assert (await api.http.request(method, path, headers=weak)).status_code == 401
    both = await bearer(api, api.people.nurse, amr=("pwd", "otp", "mfa"))
    renewed = await api.http.post("/v1/me/mfa/recovery-codes", headers=both)
    assert len(set(renewed.json()["recovery_codes"])) == 10
    assert (await api.http.delete("/v1/me/mfa", headers=both)).status_code == 204
    _, answer = await begin(api, "nurse@test")
    assert answer.status_code == 303


async def test_the_seed_is_sealed_for_its_account_and_codes_are_hashed(api: Api):
    totp, codes = await enrol(api, api.people.nurse)
    async with api.clinic.database.bare() as connection:
        seed = await connection.fetchval("SELECT seed FROM account_totp")
        hashes = await connection.fetch("SELECT code_hash FROM account_recovery_code")
    assert totp.secret.encode() not in seed
    owner = api.people.nurse.subject.id
    assert api.clinic.indexes.unlock(owner, seed) == totp.secret.encode()
    with pytest.raises(DecryptError):
        api.clinic.indexes.unlock(api.people.adams.subject.id, seed)
    assert not {codes[0].encode(), codes[0].replace("-", "").encode()} & {r[0] for r in hashes}


async def test_what_becomes_of_factors_and_of_their_failures_is_on_the_trail(
    api: Api, database_url: str
):
    await enrol(api, api.people.nurse)
    _, page = await begin(api, "nurse@test")
    await go_on(api, page, code="000000")
    events = [(e["action"], e["outcome"], e["reason"]) for e in await outbox(database_url)]
    assert ("factor", "allow", "enrolled") in events
    assert ("login", "deny", "second-factor") in events
    assert ("login", "allow") not in [e[:2] for e in events], "the login was never complete"


async def test_a_client_that_is_not_ours_needs_its_owners_consent(api: Api):
    body = {
        "client_name": "Growth <charts>",
        "token_endpoint_auth_method": "none",
        "redirect_uris": ["https://charts.example/callback"],
        "scope": "openid user/Patient.rs",
    }
    made = (await api.post(api.people.admin, "/v1/clients", body)).json()
    asked = {
        "client_id": made["client_id"],
        "redirect_uri": body["redirect_uris"][0],
        "scope": "openid user/Patient.rs user/Record.cruds",
    }
    login, page = await begin(api, "nurse@test", **asked)
    assert page.status_code == 200
    assert "Growth &lt;charts&gt;" in page.text
    assert "user/Patient.rs" in page.text
    assert ">user/Record.cruds<" not in page.text
    login.answer = await go_on(api, page, consent="no")
    assert login.returned["error"] == "access_denied"
    given = await finish(api, login, await go_on(api, page, consent="yes"))
    assert given["scope"] == "openid user/Patient.rs"
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    assert (await api.http.get("/v1/patients", headers=headers)).status_code == 200
    assert (await api.http.get("/v1/appointments", headers=headers)).status_code in (200, 403)
    assert CALLBACK not in page.text
