"""Access tokens that are not ours, not meant for us, or not in time: 401, whatever they say of themselves."""

import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from core.crypto.signing import ALGORITHM, BadToken, SigningKeys, trusted, verified
from core.errors import Unavailable
from tests.logins import ISSUER, Service, serve
from tests.outside import outside

Forgery = Callable[["Forger"], str]


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with serve(database_url, tmp_path) as running:
        yield running


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Forger:
    """Somebody who holds a good token and, for tokens that fail for another reason, even our key."""

    def __init__(self, good: str, keys: SigningKeys, home: Path) -> None:
        self.good = good
        self.parts = good.split(".")
        self.public = keys.jwks()["keys"][0]
        self.kid = self.public["kid"]
        self.ours = ECKey.import_key(
            json.loads((home / "signing-keys.json").read_text())["keys"][0]
        )
        self.claims = json.loads(urlsafe_b64decode(self.parts[1] + "=="))

    def signed(self, header: dict[str, Any] | None = None, /, **claims: Any) -> str:
        """Sign with our own key, header and claims changed; a claim of None is left out."""
        head = {"alg": "ES256", "typ": "at+jwt", "kid": self.kid} | (header or {})
        body = {k: v for k, v in (self.claims | claims).items() if v is not None}
        return self.by(self.ours, head, body)

    def by(self, key: Any, header: dict[str, Any], claims: dict[str, Any] | None = None) -> str:
        header = {k: v for k, v in header.items() if v is not None}
        content = (
            f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims or self.claims).encode())}"
        )
        if key is None:
            return f"{content}."
        signer = jws.JWSRegistry.algorithms[
            header["alg"] if header["alg"] in jws.JWSRegistry.algorithms else "ES256"
        ]
        return f"{content}.{b64(signer.sign(content.encode(), key))}"

    def hmac(self, secret: bytes, alg: str = "HS256") -> str:
        content = f"{b64(json.dumps({'alg': alg, 'typ': 'at+jwt', 'kid': self.kid}).encode())}.{self.parts[1]}"
        return f"{content}.{b64(hmac.digest(secret, content.encode(), 'sha256'))}"


def theirs() -> ECKey:
    return ECKey.generate_key("P-256")


def _twice(f: Forger) -> str:
    head = b64(f'{{"alg":"ES256","typ":"at+jwt","kid":"x","kid":"{f.kid}"}}'.encode())
    content = f"{head}.{f.parts[1]}"
    signer = jws.JWSRegistry.algorithms["ES256"]
    return f"{content}.{b64(signer.sign(content.encode(), f.ours))}"


HEAD = {"alg": "ES256", "typ": "at+jwt"}
FORGERIES: dict[str, Forgery] = {
    "alg none": lambda f: f.by(None, HEAD | {"alg": "none", "kid": f.kid}),
    "alg None": lambda f: f.by(None, HEAD | {"alg": "None", "kid": f.kid}),
    "alg NONE with our signature": lambda f: f.signed({"alg": "NONE"}),
    "alg nOnE": lambda f: f.by(None, HEAD | {"alg": "nOnE", "kid": f.kid}),
    "no alg": lambda f: f.signed({"alg": None} | {"alg": ""}),
    "HS256 with the public key as JSON": lambda f: f.hmac(json.dumps(f.public).encode()),
    "HS256 with the public key as PEM": lambda f: f.hmac(f.ours.as_pem(private=False)),
    "HS256 with the public key as DER": lambda f: f.hmac(f.ours.as_der(private=False)),
    "HS256 with nothing": lambda f: f.hmac(b""),
    "ES384": lambda f: f.by(ECKey.generate_key("P-384"), HEAD | {"alg": "ES384", "kid": f.kid}),
    "RS256": lambda f: f.by(RSAKey.generate_key(2048), HEAD | {"alg": "RS256", "kid": f.kid}),
    "another key under our kid": lambda f: f.by(theirs(), HEAD | {"kid": f.kid}),
    "an unknown kid": lambda f: f.signed({"kid": "unknown"}),
    "no kid": lambda f: f.signed({"kid": None}),
    "kid a path": lambda f: f.signed({"kid": "../../../../dev/null"}),
    "kid SQL": lambda f: f.signed({"kid": "' OR '1'='1"}),
    "kid a list": lambda f: f.signed({"kid": [f.kid]}),
    "kid twice": _twice,
    "jwk in the header": lambda f: _with_own_key(f, "jwk"),
    "jwk in the header, our signature": lambda f: f.signed({"jwk": f.public}),
    "jku": lambda f: f.signed({"jku": "https://evil.example/jwks"}),
    "x5u": lambda f: f.signed({"x5u": "https://evil.example/cert"}),
    "x5c": lambda f: f.signed({"x5c": ["MIIB"]}),
    "crit": lambda f: f.signed({"crit": ["exp"], "exp": 1}),
    "b64 false": lambda f: f.signed({"b64": False, "crit": ["b64"]}),
    "zip": lambda f: f.signed({"zip": "DEF"}),
    "typ JWT": lambda f: f.signed({"typ": "JWT"}),
    "no typ": lambda f: f.signed({"typ": None}),
    "wrong aud": lambda f: f.signed(aud="https://elsewhere.example"),
    "our aud among others": lambda f: f.signed(aud=[ISSUER, "https://elsewhere.example"]),
    "no aud": lambda f: f.signed(aud=None),
    "wrong iss": lambda f: f.signed(iss="https://elsewhere.example"),
    "iss with a slash": lambda f: f.signed(iss=f"{ISSUER}/"),
    "expired": lambda f: f.signed(exp=int(time.time()) - 1),
    "expired long ago": lambda f: f.signed(exp=1),
    "no exp": lambda f: f.signed(exp=None),
    "exp a word": lambda f: f.signed(exp="never"),
    "exp infinite": lambda f: f.signed(exp=float("inf")),
    "not yet": lambda f: f.signed(nbf=int(time.time()) + 60),
    "another account": lambda f: f.signed(sub=str(uuid4())),
    "another session": lambda f: f.signed(sid=str(uuid4())),
    "no session": lambda f: f.signed(sid=None),
    "empty signature": lambda f: f"{f.parts[0]}.{f.parts[1]}.",
    "no signature": lambda f: f"{f.parts[0]}.{f.parts[1]}",
    "zero signature": lambda f: f"{f.parts[0]}.{f.parts[1]}.{b64(bytes(64))}",
    "short signature": lambda f: f.good[:-4],
    "a fourth part": lambda f: f"{f.good}.",
    "padding": lambda f: f"{f.good}==",
    "another spelling of the signature": lambda f: f.good[:-1] + _sibling(f.good[-1]),
    "a padded header that we signed": lambda f: _respelled(
        f, lambda head: head + "=" * (-len(head) % 4)
    ),
    "a header with noise that we signed": lambda f: _respelled(
        f, lambda head: f"{head[:8]}*\n{head[8:]}"
    ),
    "changed claims": lambda f: f"{f.parts[0]}.{b64(b'{}')}.{f.parts[2]}",
    "five parts": lambda _: "e30.e30.e30.e30.e30",
    "nothing": lambda _: "",
    "not base64": lambda _: "a!.b!.c!",
    "very long": lambda f: f.good + "A" * 100_000,
    "deep JSON": lambda f: f"{b64(b'[' * 3000)}.{f.parts[1]}.{f.parts[2]}",
}


def _respelled(f: Forger, respell: Callable[[str], str]) -> str:
    """Sign a header that decodes alike and is written otherwise."""
    head = b64(json.dumps(HEAD | {"kid": f.kid}).encode() + b" ")
    content = f"{respell(head)}.{f.parts[1]}"
    return f"{content}.{b64(jws.JWSRegistry.algorithms['ES256'].sign(content.encode(), f.ours))}"


def _with_own_key(f: Forger, name: str) -> str:
    key = theirs()
    return f.by(key, HEAD | {"kid": f.kid, name: key.as_dict(private=False)})


def _sibling(sign: str) -> str:
    """Return the letter that differs in the last bit, which 64 bytes of base64 do not use."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(sign) ^ 1]


async def test_no_forged_token_is_taken(service: Service, tmp_path: Path):
    good = (await service.grant())["access_token"]
    assert (await service.me(good)).status_code == 200
    forger = Forger(good, service.tokens.keys, tmp_path)
    assert (await service.me(forger.signed())).status_code == 200, "the forger's tools work"
    taken = {}
    for name, forge in FORGERIES.items():
        answer = await service.me(forge(forger))
        if answer.status_code != 401 or not answer.headers.get("www-authenticate"):
            taken[name] = answer.status_code
    assert taken == {}


async def test_a_token_counts_in_a_bearer_header_only(service: Service):
    good = (await service.grant())["access_token"]
    for header in ("", "Bearer", "Basic {}", "Token {}", "{}", "Bearer x {}"):
        sent = {"Authorization": header.format(good)} if header else {}
        assert (await service.http.get("/v1/me", headers=sent)).status_code == 401, header
        assert (await service.http.get("/v1/me", params={"access_token": good})).status_code == 401


async def test_a_remembered_token_dies_when_it_expires(service: Service, monkeypatch: Any):
    good = (await service.grant())["access_token"]
    assert (await service.me(good)).status_code == 200
    later = time.time() + service.tokens.seconds
    monkeypatch.setattr("records.identity.tokens.time", lambda: later)
    assert (await service.me(good)).status_code == 401


async def test_outside_vectors_of_broken_signatures_are_all_refused():
    groups = json.loads(outside("wycheproof", "json_web_signature_test.json").read_text())
    accepted, refused, good = [], 0, 0
    for group in groups["testGroups"]:
        record = group.get("public") or group["private"]
        for test in group["tests"]:
            opened = _opens(record, test["jws"])
            good += opened and test["result"] == "valid"
            refused += not opened and test["result"] == "invalid"
            if opened and test["result"] == "invalid":
                accepted.append((test["tcId"], test["comment"]))
    assert accepted == []
    assert refused > 300
    assert good == 2, "the ES256 vectors that are valid"


def _opens(record: dict[str, Any], token: str) -> bool:
    try:
        verified(token, {record.get("kid", ""): (ALGORITHM, trusted(record))})
    except BadToken:
        return False
    return True


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"use": None},
        {"alg": "ES384"},
        {"alg": None},
        {"crv": "P-384"},
        {"kty": "oct", "k": "AAAA"},
        {"key_ops": ["encrypt"]},
        {"x": "AAAA"},
    ],
)
def test_a_key_record_for_anything_else_is_not_trusted(tmp_path: Path, change: dict[str, Any]):
    (record,) = SigningKeys.create(tmp_path / "keys.json").jwks()["keys"]
    assert trusted(record)
    with pytest.raises(BadToken):
        trusted({k: v for k, v in (record | change).items() if v is not None})


def test_every_key_of_the_file_verifies_and_the_last_one_signs(tmp_path: Path):
    one, two = (SigningKeys.create(tmp_path / name) for name in ("one.json", "two.json"))
    old = one.sign("at+jwt", {"n": 1})
    files = [json.loads((tmp_path / n).read_text())["keys"] for n in ("one.json", "two.json")]
    (tmp_path / "one.json").write_text(json.dumps({"keys": files[0] + files[1]}))
    assert one.verify(old, "at+jwt") == {"n": 1}
    assert two.verify(one.sign("at+jwt", {"n": 2}), "at+jwt") == {"n": 2}
    assert len(one.jwks()["keys"]) == 2
    (tmp_path / "one.json").write_text(json.dumps({"keys": files[1]}))
    with pytest.raises(BadToken):
        one.verify(old, "at+jwt")


def test_a_kid_is_the_keys_thumbprint(tmp_path: Path):
    (record,) = SigningKeys.create(tmp_path / "keys.json").jwks()["keys"]
    canonical = json.dumps({k: record[k] for k in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    assert record["kid"] == b64(sha256(canonical.encode()).digest())


def test_signing_keys_that_others_may_read_are_refused(tmp_path: Path):
    path = tmp_path / "keys.json"
    SigningKeys.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(Unavailable):
        SigningKeys(path)


def test_signing_keys_are_not_made_by_looking_for_them(tmp_path: Path):
    with pytest.raises(Unavailable):
        SigningKeys(tmp_path / "keys.json")
