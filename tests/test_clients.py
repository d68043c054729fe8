"""The registry of clients, and what a client gets that asks for itself."""

import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from core.crypto.assertions import public_keys
from core.ids import new_id
from tests.apis import Api, serve

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SERVICE = {
    "client_name": "Wall display",
    "grant_types": ["client_credentials"],
    "scope": "system/Appointment.rs system/Patient.r",
    "roles": ["receptionist"],
}
WEB = {
    "client_name": "Growth charts",
    "token_endpoint_auth_method": "none",
    "redirect_uris": ["https://charts.example/callback"],
    "scope": "openid user/Record.rs",
}
EC, RSA = ECKey.generate_key("P-384"), RSAKey.generate_key(2048)


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as api:
        yield api


def public(key: Any, **more: Any) -> dict:
    return {"keys": [key.as_dict(private=False) | {"kid": "k1"} | more]}


async def register(api: Api, body: dict, **more: Any) -> dict:
    answer = await api.post(api.people.admin, "/v1/clients", body | more)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def ask(api: Api, client: dict, **form: str) -> httpx.Response:
    auth = (client["client_id"], client["client_secret"])
    return await api.http.post(
        "/oauth/token", data={"grant_type": "client_credentials"} | form, auth=auth
    )


def assertion(
    api: Api, client: dict, key: Any = EC, header: dict | None = None, **claims: Any
) -> str:
    at = int(time.time())
    said = {
        "iss": client["client_id"],
        "sub": client["client_id"],
        "aud": f"{api.tokens.issuer}/oauth/token",
        "exp": at + 60,
        "iat": at,
        "jti": secrets.token_urlsafe(8),
    } | claims
    alg = "ES384" if isinstance(key, ECKey) else "RS384"
    head = {"alg": alg, "kid": "k1", "typ": "JWT"} | (header or {})
    said = {k: v for k, v in said.items() if v is not None}
    return jwt.encode(head, said, key, algorithms=[head["alg"]])


async def prove(api: Api, client: dict, token: str, **form: str) -> httpx.Response:
    given = {
        "grant_type": "client_credentials",
        "client_id": client["client_id"],
        "client_assertion_type": ASSERTION,
        "client_assertion": token,
    }
    return await api.http.post("/oauth/token", data=given | form)


async def test_only_administrators_keep_clients(api: Api):
    made = await register(api, WEB)
    for me in (api.people.adams, api.people.compliance, api.people.patient):
        assert (await api.post(me, "/v1/clients", WEB)).status_code == 403
        assert (await api.get(me, "/v1/clients")).status_code == 403
        assert (await api.get(me, f"/v1/clients/{made['client_id']}")).status_code == 403
        assert (await api.get(me, f"/v1/clients/{new_id()}")).status_code == 403
    assert (await api.get(api.people.admin, f"/v1/clients/{new_id()}")).status_code == 404


async def test_a_client_that_breaks_a_rule_is_refused_at_the_field(api: Api):
    for body, more, pointer in (
        (WEB, {"redirect_uris": []}, "/redirect_uris"),
        (WEB, {"redirect_uris": ["http://charts.example/cb"]}, "/redirect_uris/0"),
        (WEB, {"redirect_uris": ["https://charts.example/cb#x"]}, "/redirect_uris/0"),
        (WEB, {"redirect_uris": ["https://a@charts.example/cb"]}, "/redirect_uris/0"),
        (WEB, {"redirect_uris": ["javascript:alert(1)"]}, "/redirect_uris/0"),
        (WEB, {"redirect_uris": ["http://127.0.0.1.evil.example/"]}, "/redirect_uris/0"),
        (WEB, {"scope": "openid everything"}, "/scope"),
        (WEB, {"scope": "user/Record.sr"}, "/scope"),
        (WEB, {"roles": ["doctor"]}, "/roles"),
        (WEB, {"grant_types": ["password"]}, "/grant_types/0"),
        (SERVICE, {"token_endpoint_auth_method": "none"}, "/grant_types"),
        (SERVICE, {"roles": []}, "/roles"),
        (SERVICE, {"roles": ["patient"]}, "/roles"),
        (SERVICE, {"token_endpoint_auth_method": "private_key_jwt"}, "/jwks"),
        (SERVICE, {"jwks": public(EC)}, "/jwks"),
    ):
        answer = await api.post(api.people.admin, "/v1/clients", body | more)
        assert answer.status_code == 422, more
        assert [e["pointer"] for e in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "jwks",
    [
        {}, {"keys": []}, {"keys": {}}, {"keys": [1]}, public(EC, kid=None), public(EC, use="enc"),
        public(EC, alg="ES256"), public(RSA, alg="RS256"), public(ECKey.generate_key("P-256")),
        public(RSA, n="A" * 171 + "B"), {"keys": [EC.as_dict(private=True) | {"kid": "k1"}]},
        {"keys": [{"kty": "oct", "k": "AAAA", "kid": "k1"}]}, public(EC, x="AAAA"),
        public(EC, key_ops=["sign"]), {"keys": public(EC)["keys"] * 2},
    ],
)  # fmt: skip
def test_a_key_set_that_is_not_all_good_is_none(jwks: dict):
    with pytest.raises(ValueError, match=" "):
        public_keys(jwks)


async def test_a_secret_is_shown_once_and_kept_as_a_hash(api: Api):
    made = await register(api, SERVICE)
    path = f"/v1/clients/{made['client_id']}"
    read = await api.get(api.people.admin, path)
    assert "client_secret" not in read.json()
    assert made["client_secret"] not in read.text
    async with api.clinic.database.bare() as connection:
        row = await connection.fetchrow(
            "SELECT c::text AS c FROM oauth_client c WHERE id = $1", made["client_id"]
        )
    assert made["client_secret"] not in row["c"]
    renewed = (await api.post(api.people.admin, f"{path}/secret", {})).json()
    assert (await ask(api, made)).status_code == 401
    assert (await ask(api, made | renewed)).status_code == 200


async def test_our_own_clients_are_not_in_the_registry(api: Api):
    made = await register(api, WEB)
    listed = (await api.get(api.people.admin, "/v1/clients")).json()["items"]
    assert [c["client_id"] for c in listed] == [made["client_id"]]


async def test_a_client_that_asks_for_itself_does_what_scope_and_policy_both_allow(api: Api):
    made = await register(api, SERVICE)
    answer = await ask(api, made)
    assert answer.status_code == 200, answer.text
    given = answer.json()
    assert "refresh_token" not in given
    assert given["scope"] == SERVICE["scope"]
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    me = (await api.http.get("/v1/me", headers=headers)).json()
    assert me["roles"] == ["receptionist"]
    assert me["account_id"] == made["account_id"]
    visit, patient = api.people.appointment_id, api.people.patient_id
    assert (await api.http.get(f"/v1/appointments/{visit}", headers=headers)).status_code == 200
    assert (await api.http.get(f"/v1/patients/{patient}", headers=headers)).status_code == 200
    for record in (
        api.people.record.id,
        visit,
    ):  # one that is there, and one that is not: the token reaches none
        refused = await api.http.get(f"/v1/records/{record}", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient-scope")
    cancelled = await api.http.post(f"/v1/appointments/{visit}/cancel", headers=headers, json={})
    assert cancelled.status_code == 403
    assert cancelled.json()["code"] == "insufficient-scope"


async def test_a_client_may_ask_for_less_and_gets_no_more(api: Api):
    made = await register(api, SERVICE)
    less = (await ask(api, made, scope="system/Appointment.r system/Record.r user/*.cruds")).json()
    assert less["scope"] == "system/Appointment.r"
    none = await ask(api, made, scope="system/Record.r")
    assert (none.status_code, none.json()["error"]) == (400, "invalid_scope")


async def test_a_client_without_the_grant_or_the_secret_gets_nothing(api: Api):
    made = await register(api, SERVICE)
    web = await register(api, WEB, token_endpoint_auth_method="client_secret_post")
    assert (await ask(api, made | {"client_secret": "wrong"})).status_code == 401
    assert (await ask(api, web)).json()["error"] == "unauthorized_client"
    bare = {"grant_type": "client_credentials", "client_id": made["client_id"]}
    assert (await api.http.post("/oauth/token", data=bare)).status_code == 401


async def test_a_client_that_is_deactivated_and_its_tokens_are_worth_nothing_at_once(api: Api):
    made = await register(api, SERVICE)
    token = (await ask(api, made)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert (await api.http.get("/v1/me", headers=headers)).status_code == 200
    change = await api.bearer(api.people.admin) | {"If-Match": 'W/"1"'}
    path = f"/v1/clients/{made['client_id']}"
    done = await api.http.patch(path, json={"active": False}, headers=change)
    assert (done.status_code, done.json()["version"]) == (200, 2)
    assert (await api.http.get("/v1/me", headers=headers)).status_code == 401
    assert (await ask(api, made)).status_code == 401
    assert (await api.http.patch(path, json={"active": True}, headers=change)).status_code == 412


@pytest.mark.parametrize("key", [EC, RSA], ids=["ES384", "RS384"])
async def test_a_client_proves_itself_by_an_assertion_that_is_good_once(api: Api, key: Any):
    made = await register(
        api, SERVICE, token_endpoint_auth_method="private_key_jwt", jwks=public(key)
    )
    assert made["client_secret"] is None
    token = assertion(api, made, key)
    assert (await prove(api, made, token)).status_code == 200
    anonymous = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION,
        "client_assertion": assertion(api, made, key),
    }
    assert (await api.http.post("/oauth/token", data=anonymous)).status_code == 200
    again = await prove(api, made, token)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")


async def test_the_keys_of_a_client_can_be_put_in_the_place_of_others(api: Api):
    keyed = {"token_endpoint_auth_method": "private_key_jwt", "jwks": public(EC)}
    made = await register(api, SERVICE, **keyed)
    headers = await api.bearer(api.people.admin) | {"If-Match": 'W/"1"'}
    path = f"/v1/clients/{made['client_id']}"
    done = await api.http.patch(path, json={"jwks": public(RSA)}, headers=headers)
    assert done.status_code == 200, done.text
    assert (await prove(api, made, assertion(api, made, EC))).status_code == 401
    assert (await prove(api, made, assertion(api, made, RSA))).status_code == 200


async def test_an_assertion_proves_nothing_unless_all_of_it_is_right(api: Api):
    made = await register(
        api, SERVICE, token_endpoint_auth_method="private_key_jwt", jwks=public(EC)
    )
    other = await register(
        api, SERVICE, token_endpoint_auth_method="private_key_jwt", jwks=public(EC)
    )
    at, theirs = int(time.time()), ECKey.generate_key("P-384")
    bad = {
        "another key": assertion(api, made, theirs),
        "another kid": assertion(api, made, header={"kid": "k2"}),
        "a key in the header": assertion(api, made, theirs, {"jwk": theirs.as_dict(private=False)}),
        "jku": assertion(api, made, header={"jku": "https://evil.example"}),
        "too long": assertion(api, made, exp=at + 3600),
        "ended": assertion(api, made, exp=at - 1),
        "no exp": assertion(api, made, exp=None),
        "not yet": assertion(api, made, nbf=at + 600),
        "no jti": assertion(api, made, jti=None),
        "for somebody else": assertion(api, made, aud="https://elsewhere.example"),
        "for us and somebody else": assertion(api, made, aud=[api.tokens.issuer, "https://x.example"]),
        "of somebody else": assertion(api, made, iss=other["client_id"]),
        "about somebody else": assertion(api, made, sub=other["client_id"]),
        "empty": "",
        "alg none": assertion(api, made).rsplit(".", 1)[0] + ".",
    }  # fmt: skip
    taken = [n for n, token in bad.items() if (await prove(api, made, token)).status_code != 401]
    assert taken == []
    assert (await prove(api, made, assertion(api, made))).status_code == 200
    bare = {"grant_type": "client_credentials", "client_id": made["client_id"]}
    assert (await api.http.post("/oauth/token", data=bare)).status_code == 401


async def test_a_clients_secret_is_no_way_around_its_key(api: Api):
    made = await register(
        api, SERVICE, token_endpoint_auth_method="private_key_jwt", jwks=public(EC)
    )
    assert (await ask(api, made | {"client_secret": ""})).status_code == 401
    assert (await ask(api, made | {"client_secret": "x"})).status_code == 401
