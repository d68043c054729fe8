"""Signing keys turn over by a command; vectors of others about keys and signatures."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.crypto.assertions import asserted, public_keys
from core.crypto.signing import ALGORITHM, KEPT_RETIRED, BadToken, SigningKeys, trusted, verified
from tests.logins import Service, serve
from tests.outside import outside


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with serve(database_url, tmp_path) as running:
        yield running


def command(url: str, home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "keys", "rotate-signing", *arguments],
        env=os.environ | {"CONFIDE_HOME": str(home), "CONFIDE_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


async def test_a_running_service_signs_with_the_new_key_and_still_knows_the_old(
    service: Service, database_url: str, tmp_path: Path
):
    old = (await service.grant())["access_token"]
    assert "2 in all" in command(database_url, tmp_path)
    assert (await service.me(old)).status_code == 200
    new = (await service.grant())["access_token"]
    assert (await service.me(new)).status_code == 200
    assert old.split(".")[0] != new.split(".")[0]
    keys = (await service.http.get("/oauth/jwks")).json()["keys"]
    assert len({k["kid"] for k in keys}) == 2
    assert all(set(k) == {"kty", "crv", "x", "y", "kid", "alg", "use"} for k in keys)


async def test_revoked_keys_end_every_token_even_one_seen_before(
    service: Service, database_url: str, tmp_path: Path
):
    old = (await service.grant())["access_token"]
    assert (await service.me(old)).status_code == 200
    command(database_url, tmp_path, "--revoke")
    assert (await service.me(old)).status_code == 401
    assert (await service.me((await service.grant())["access_token"])).status_code == 200


def test_a_retired_key_goes_when_nothing_of_it_is_good_any_more(tmp_path: Path):
    path = tmp_path / "keys.json"
    keys = SigningKeys.create(path)
    first = keys.sign("at+jwt", {"n": 1})
    assert SigningKeys.rotate(path, now=1000) == 2
    assert SigningKeys.rotate(path, now=1000 + KEPT_RETIRED - 1) == 3
    assert keys.verify(first, "at+jwt") == {"n": 1}
    assert SigningKeys.rotate(path, now=1000 + KEPT_RETIRED) == 3
    with pytest.raises(BadToken):
        keys.verify(first, "at+jwt")


def groups(name: str) -> list[dict[str, Any]]:
    return json.loads(outside("wycheproof", name).read_text())["testGroups"]


def ours(records: list[dict[str, Any]], token: str) -> bool:
    """Whether our own tokens' verifier takes a token under these keys."""
    try:
        verified(token, {str(r.get("kid")): (ALGORITHM, trusted(r)) for r in records})
    except BadToken:
        return False
    return True


def theirs(jwks: object, token: str) -> bool:
    """Whether the verifier of clients' assertions does."""
    try:
        asserted(token, jwks)
    except (BadToken, ValueError):
        return False
    return True


@pytest.mark.parametrize(
    "name", ["json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json"]
)
def test_neither_verifier_takes_what_outside_vectors_call_invalid(name: str):
    taken, refused = [], 0
    for group in groups(name):
        public = group.get("public") or group.get("private") or {}
        records = public.get("keys", [public]) if isinstance(public, dict) else []
        for test in group["tests"]:
            token = test.get("jws")
            if test["result"] != "invalid" or not isinstance(token, str):
                continue
            if ours(records, token) or theirs({"keys": records}, token):
                taken.append((test["tcId"], test["comment"]))
            refused += 1
    assert taken == []
    assert refused


def test_a_set_with_two_keys_of_one_name_is_none():
    for group in groups("json_web_key_test.json"):
        records = (group.get("public") or {}).get("keys", [])
        if len({r.get("kid") for r in records}) != len(records):
            with pytest.raises(ValueError, match=" "):
                public_keys({"keys": records})
