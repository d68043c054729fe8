"""What a client signs to prove who it is (RFC 7523): RS384 or ES384, by a key that an administrator registered.

As with our own tokens, the assertion chooses nothing: a key record is good for one algorithm, and no other header
parameter than `alg`, `kid` and `typ` is taken.
"""

from collections.abc import Mapping
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from core.crypto.signing import CLAIMS, HEADER, BadToken, Key, Keys, json_object, said, verified

ALGORITHMS: Final = ("RS384", "ES384")
RSA_BITS: Final = 2048
KEYS: Final = 5
"""Keys a client registers at most."""

_SECRET: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def public_keys(jwks: object) -> Keys:
    """Return the keys of a JWK set by id, each with its one algorithm; ValueError for a set that is not all good."""
    records = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(records, list) or not 1 <= len(records) <= KEYS:
        raise ValueError("a key set holds one to five keys")
    found = {
        str(record.get("kid")): _key(record) for record in records if isinstance(record, Mapping)
    }
    if len(found) != len(records) or "None" in found or "" in found:
        raise ValueError("every key has a kid of its own")
    return found


def usable(jwks: object) -> dict[str, Any]:
    """Return what of a published set is good for assertions: those who publish have keys for other things too.

    ValueError when that is nothing, or too much.
    """
    records = jwks.get("keys") if isinstance(jwks, Mapping) else None
    good = [r for r in records if _good(r)] if isinstance(records, list) else []
    found = {"keys": [dict(record) for record in good]}
    public_keys(found)
    return found


def kid_of(token: str) -> str:
    """Return which key an assertion names, before anything of it is believed."""
    return str(said(token, HEADER).get("kid"))


def claimant(token: str) -> str:
    """Return who an assertion says it is about, before anything of it is believed."""
    said(token, HEADER)
    return str(said(token, CLAIMS).get("sub"))


def asserted(token: str, jwks: object) -> dict[str, Any]:
    """Return the claims of an assertion; raise BadToken unless a key of the set signed it."""
    try:
        keys = public_keys(jwks)
    except ValueError:
        raise BadToken from None
    return json_object(verified(token, keys)[1])


def _key(record: Mapping[str, Any]) -> tuple[str, Key]:
    if _SECRET & record.keys():
        raise ValueError("a private key has no place here")
    if record.get("use", "sig") != "sig" or "verify" not in record.get("key_ops", ["verify"]):
        raise ValueError("the key is not for signatures")
    key, algorithm = _imported(record)
    if record.get("alg", algorithm) != algorithm:
        raise ValueError("RSA keys sign with RS384, EC keys with ES384")
    return algorithm, key


def _good(record: object) -> bool:
    try:
        return isinstance(record, Mapping) and bool(_key(record))
    except ValueError:
        return False


def _imported(record: Mapping[str, Any]) -> tuple[Key, str]:
    try:
        if record.get("kty") == "EC" and record.get("crv") == "P-384":
            return ECKey.import_key(dict(record)), "ES384"
        if record.get("kty") == "RSA" and len(str(record.get("n"))) * 6 >= RSA_BITS:
            key = RSAKey.import_key(dict(record))
            if key.public_key.key_size >= RSA_BITS:
                return key, "RS384"
    except (JoseError, ValueError, TypeError, KeyError):
        raise ValueError("a key cannot be read") from None
    raise ValueError("a key is RSA of 2048 bits or more, or EC on P-384")
