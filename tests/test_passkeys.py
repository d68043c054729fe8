"""Passkeys: enrolled, asked for, checked in all they say, and good for nothing once they are removed."""

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.clock import now
from core.ids import new_id
from records.access.me import Me
from tests.apis import Api, serve
from tests.authenticators import PRESENT, SYNCABLE, SYNCED, VERIFIED, Authenticator, b64
from tests.clinics import outbox
from tests.logins import Login, hidden
from tests.test_mfa import bearer, begin, claims, enrol, finish, go_on

PATH = "/v1/me/passkeys"


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


async def offer(api: Api, me: Me) -> dict[str, Any]:
    return (await api.post(me, f"{PATH}/options", {})).json()


async def add(api: Api, me: Me, key: Authenticator, name: str = "Laptop") -> httpx.Response:
    told = await offer(api, me)
    return await keep(api, me, told, key.create(told["options"]), name)


async def keep(
    api: Api, me: Me, told: dict[str, Any], made: dict[str, Any], name: str = "Laptop"
) -> httpx.Response:
    body = {"name": name, "challenge": told["challenge"], "credential": made}
    return await api.post(me, PATH, body)


async def enrolled(api: Api, me: Me, **its: Any) -> tuple[Authenticator, dict[str, Any]]:
    key = Authenticator(**its)
    answer = await add(api, me, key)
    assert answer.status_code == 201, answer.text
    return key, answer.json()


def options(page: httpx.Response) -> dict[str, Any]:
    found = re.search(r'data-options="([^"]*)"', page.text)
    assert found, page.text
    return json.loads(unescape(found[1]))


async def opened(api: Api, **given: str) -> tuple[Login, httpx.Response]:
    login = Login(**given)
    return login, await api.http.get("/oauth/authorize", params=login.asked)


async def refused(api: Api, page: httpx.Response, answer: str) -> None:
    sent = await go_on(api, page, passkey=answer)
    assert sent.status_code == 401, sent.headers
    assert "location" not in sent.headers


async def test_a_passkey_is_a_whole_login_with_two_factors(api: Api):
    key, made = await enrolled(api, api.people.nurse)
    assert len(made["recovery_codes"]) == 10
    login, page = await opened(api)
    tokens = await finish(api, login, await go_on(api, page, passkey=key.get(options(page))))
    said = claims(tokens["access_token"])
    assert said["sub"] == str(api.people.nurse.subject.id)
    assert (said["amr"], said["acr"]) == (["hwk", "mfa"], "aal2")


async def test_a_synced_passkey_says_that_it_is_one(api: Api):
    flags = PRESENT | VERIFIED | SYNCABLE | SYNCED
    key, made = await enrolled(api, api.people.nurse, flags=flags)
    assert made["synced"]
    login, page = await opened(api)
    tokens = await finish(api, login, await go_on(api, page, passkey=key.get(options(page))))
    assert claims(tokens["access_token"])["amr"] == ["swk", "mfa"]


async def test_who_has_a_passkey_needs_it_besides_the_password(api: Api):
    key, made = await enrolled(api, api.people.nurse)
    login, page = await begin(api, "nurse@test")
    assert page.status_code == 200
    assert [c["id"] for c in options(page)["allowCredentials"]] == [b64(key.id)]
    tokens = await finish(api, login, await go_on(api, page, passkey=key.get(options(page))))
    assert claims(tokens["access_token"])["amr"] == ["pwd", "hwk", "mfa"]
    login, page = await begin(api, "nurse@test")
    tokens = await finish(api, login, await go_on(api, page, code=made["recovery_codes"][0]))
    assert claims(tokens["access_token"])["amr"] == ["pwd", "otp", "mfa"]


async def test_the_passkey_of_another_is_no_second_factor(api: Api):
    await enrolled(api, api.people.nurse)
    other, _ = await enrolled(api, api.people.adams)
    _, page = await begin(api, "nurse@test")
    await refused(api, page, other.get(options(page)))
    other.owner = api.people.nurse.subject.id.bytes
    await refused(api, page, other.get(options(page)))


async def test_what_is_no_answer_is_refused_like_a_wrong_one(api: Api):
    await enrolled(api, api.people.nurse)
    for nonsense in ("[" * 2000, "{}", "null", '{"id": []}', "\x01"):
        _, page = await opened(api)
        await refused(api, page, nonsense)


async def test_an_answer_counts_once(api: Api):
    key, _ = await enrolled(api, api.people.nurse)
    _, page = await opened(api)
    answer = key.get(options(page))
    assert (await go_on(api, page, passkey=answer)).status_code == 303
    await refused(api, page, answer)
    await refused(api, page, key.get(options(page)))


async def test_an_answer_counts_for_the_request_it_was_asked_for(api: Api):
    key, _ = await enrolled(api, api.people.nurse)
    (_, one), (_, other) = await opened(api), await opened(api, state="another")
    form = hidden(other.text) | {"challenge": hidden(one.text)["challenge"]}
    form["passkey"] = key.get(options(one))
    assert (await api.http.post("/oauth/authorize", data=form)).status_code == 401


async def test_an_answer_that_comes_late_counts_for_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    key, _ = await enrolled(api, api.people.nurse)
    monkeypatch.setattr("records.identity.challenges.LIFE", -1)
    _, page = await opened(api)
    await refused(api, page, key.get(options(page)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "http://localhost:8001"},
        {"origin": "https://confide.example"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
    ],
    ids=str,
)
async def test_an_answer_from_elsewhere_or_without_its_user_is_refused(
    api: Api, wrong: dict[str, Any]
):
    key, _ = await enrolled(api, api.people.nurse)
    vars(key).update(wrong)
    _, page = await opened(api)
    await refused(api, page, key.get(options(page)))


async def test_an_answer_for_another_site_owner_or_challenge_is_refused(api: Api):
    key, _ = await enrolled(api, api.people.nurse)
    for wrong in ({"rp": "evil.example"}, {"owner": b""}, {"owner": new_id().bytes}):
        _, page = await opened(api)
        await refused(api, page, key.get(options(page), **wrong))
    _, page = await opened(api)
    await refused(api, page, key.get(options(page) | {"challenge": "AAAA"}))
    for nonsense in ("{}", "[]", "null", "x", '{"id": 1}'):
        _, page = await opened(api)
        await refused(api, page, nonsense)


async def test_a_copied_key_is_found_out_by_its_counter(api: Api, database_url: str):
    key, _ = await enrolled(api, api.people.nurse)
    _, page = await opened(api)
    assert (await go_on(api, page, passkey=key.get(options(page)))).status_code == 303
    key.count = 0
    _, page = await opened(api)
    await refused(api, page, key.get(options(page)))
    events = [(e["action"], e["outcome"], e["reason"]) for e in await outbox(database_url)]
    assert ("login", "deny", "passkey") in events


async def test_a_removed_passkey_logs_nobody_in(api: Api):
    key, made = await enrolled(api, api.people.nurse)
    path = f"{PATH}/{made['id']}"
    weak = await bearer(api, api.people.nurse)
    assert (await api.http.delete(path, headers=weak)).status_code == 401
    strong = await bearer(api, api.people.nurse, amr=("hwk", "mfa")) | {"If-Match": 'W/"1"'}
    assert (await api.http.delete(path, headers=strong)).status_code == 204
    assert (await api.http.delete(path, headers=strong)).status_code == 404
    _, page = await opened(api)
    await refused(api, page, key.get(options(page)))
    _, answer = await begin(api, "nurse@test")
    assert answer.status_code == 303, "the password is enough again"


async def test_a_deactivated_owner_is_not_let_in(api: Api):
    key, _ = await enrolled(api, api.people.nurse)
    async with api.clinic.database.bare() as connection:
        await connection.execute("UPDATE account SET active = false")
    _, page = await opened(api)
    await refused(api, page, key.get(options(page)))


async def test_a_passkey_is_enrolled_once_for_its_challenge_and_its_account(api: Api):
    nurse, key = api.people.nurse, Authenticator()
    told = await offer(api, nurse)
    made = key.create(told["options"])
    assert (await keep(api, api.people.adams, told, made)).status_code == 422
    assert (await keep(api, nurse, told, made)).status_code == 201
    again = await keep(api, nurse, told, made)
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (422, "/challenge")
    other = await add(api, api.people.adams, key)
    assert (other.status_code, other.json()["code"]) == (409, "factor-exists")


@pytest.mark.parametrize("wrong", [{"origin": "https://evil.example"}, {"flags": PRESENT}], ids=str)
async def test_what_was_made_elsewhere_or_without_its_user_is_not_enrolled(
    api: Api, wrong: dict[str, Any]
):
    answer = await add(api, api.people.nurse, Authenticator(**wrong))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/credential")


async def test_a_number_that_no_machine_counts_to_is_no_credential(api: Api):
    told = await offer(api, api.people.nurse)
    answer = await keep(api, api.people.nurse, told, {"id": 2**70})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/credential")


async def test_enrolment_wants_a_recent_login(api: Api):
    old = await bearer(api, api.people.nurse, auth_time=now() - timedelta(seconds=901))
    for path, body in ((f"{PATH}/options", {}), (PATH, {})):
        answer = await api.http.post(path, json=body, headers=old)
        assert (answer.status_code, answer.json()["code"]) == (401, "step-up")


async def test_an_authenticator_learns_no_name(api: Api):
    user = (await offer(api, api.people.nurse))["options"]["user"]
    account = api.people.nurse.subject.id
    assert user["name"] == user["displayName"] == f"Confide {account.hex[-8:]}"


async def test_owners_see_and_name_their_own_passkeys_and_no_others(api: Api, database_url: str):
    _, made = await enrolled(api, api.people.nurse)
    nurse, path = api.people.nurse, f"{PATH}/{made['id']}"
    assert (await api.patch(nurse, path, {"name": "x"}, None)).status_code == 428
    assert (await api.patch(nurse, path, {"name": "x"}, 'W/"7"')).status_code == 412
    assert (await api.patch(api.people.adams, path, {"name": "x"}, 'W/"1"')).status_code == 404
    named = await api.patch(nurse, path, {"name": "Blue key"}, 'W/"1"')
    assert (named.status_code, named.headers["etag"]) == (200, 'W/"2"')
    (listed,) = (await api.get(nurse, PATH)).json()["items"]
    assert (listed["name"], listed["used_at"]) == ("Blue key", None)
    kept = [e["reason"] for e in await outbox(database_url) if e["action"] == "factor"]
    assert kept == ["passkey-enrolled", "recovery-codes", "passkey-renamed"]
    assert (await api.get(api.people.adams, PATH)).json()["items"] == []


async def test_what_an_owner_calls_a_passkey_is_sealed(api: Api):
    await enrolled(api, api.people.nurse)
    async with api.clinic.database.bare() as connection:
        row = await connection.fetchrow("SELECT * FROM account_passkey")
    assert not [value for value in row.values() if b"Laptop" in str(value).encode()]


async def test_a_lent_token_keeps_no_passkeys(api: Api):
    async with api.clinic.database.transaction() as session:
        from records.identity import sessions

        family = await sessions.start(
            session,
            api.people.nurse.subject.id,
            "confide-cli",
            "openid user/Patient.rs",
            api.tokens.life,
        )
    lent = {"Authorization": f"Bearer {api.tokens.access(family)}"}
    answer = await api.http.post(f"{PATH}/options", json={}, headers=lent)
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient-scope")


async def test_an_eleventh_passkey_is_one_too_many(api: Api):
    for _ in range(10):
        await enrolled(api, api.people.nurse)
    answer = await add(api, api.people.nurse, Authenticator())
    assert (answer.status_code, answer.json()["code"]) == (409, "too-many-passkeys")


async def test_an_administrator_takes_passkeys_away_too(api: Api):
    key, _ = await enrolled(api, api.people.nurse)
    path = f"/v1/accounts/{api.people.nurse.subject.id}/mfa"
    admin = await bearer(api, api.people.admin)
    assert (await api.http.delete(path, headers=admin)).status_code == 204
    _, page = await opened(api)
    await refused(api, page, key.get(options(page)))


async def test_an_app_can_be_enrolled_beside_a_passkey(api: Api):
    key, _ = await enrolled(api, api.people.nurse)
    totp, _ = await enrol(api, api.people.nurse)
    state = (await api.get(api.people.nurse, "/v1/me/mfa")).json()
    assert (state["totp"], state["passkeys"]) == (True, 1)
    _, page = await begin(api, "nurse@test")
    assert (await go_on(api, page, code=totp.now())).status_code == 303
    _, page = await begin(api, "nurse@test")
    assert (await go_on(api, page, passkey=key.get(options(page)))).status_code == 303


async def test_guessing_at_a_second_factor_is_throttled_by_account(api: Api):
    key, _ = await enrolled(api, api.people.nurse)
    _, page = await begin(api, "nurse@test")
    for _ in range(10):
        await refused(api, page, "{}")
    assert (await go_on(api, page, passkey="{}")).status_code == 429
    _, page = await opened(api)
    assert (await go_on(api, page, passkey=key.get(options(page)))).status_code == 303
