"""Signed tokens: JWS in compact form (RFC 7515), ES256 and nothing else, by keys in a file of ours alone.

A token chooses nothing: neither the algorithm nor the key nor where to find one. It may name one of our keys
(`kid`) and say what it is (`typ`, RFC 8725 §3.11); any other header parameter (jwk, jku, x5u, crit, b64, …) refuses it.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from core.crypto import keyfile
from core.crypto.refusal import Unpicklable
from core.errors import Conflict, Unavailable

ALGORITHM: Final = "ES256"
LONGEST: Final = 4096
"""Characters of a token at most; ours have some 700."""

HEADER, CLAIMS = range(2)
"""Parts of a token."""
RETIRED: Final = "retired"
"""Member of a record in the file: since when the key signs no more, in seconds since 1970."""
KEPT_RETIRED: Final = 86_400
"""Seconds a retired key stays: tokens live for minutes, clients' copies of the key set for hours."""

Key = ECKey | RSAKey
Keys = Mapping[str, tuple[str, Key]]
"""By id, each with the one algorithm that it is good for."""

_HEADER: Final = frozenset({"alg", "kid", "typ"})
_RECORD: Final = {"kty": "EC", "crv": "P-256", "alg": ALGORITHM, "use": "sig"}


class BadToken(Exception):
    """A token that is none of ours. It says no more, and holds nothing of the token."""


class SigningKeys(Unpicklable):
    """A JWK set in a file, read again whenever it was replaced: every key verifies, the last one signs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._keys: dict[str, tuple[str, ECKey]] = {}
        self._load()

    @classmethod
    def create(cls, path: Path) -> Self:
        """Write a new set with one key. Conflict(`signing-keys-exist`) if there is one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with keyfile.exclusive(path) as folder:
            if path.exists():
                raise Conflict("There are signing keys already.", code="signing-keys-exist")
            keyfile.write(path, json.dumps({"keys": [_fresh()]}).encode(), folder)
        return cls(path)

    @classmethod
    def rotate(cls, path: Path, *, now: int, revoke: bool = False) -> int:
        """Sign with a new key from now on; return how many keys there are.

        Older ones verify what they have signed, until that has long expired; `revoke` ends them at once.
        """
        with keyfile.exclusive(path) as folder:
            cls(path)
            records = json.loads(keyfile.read(path))["keys"]
            for record in records:
                record.setdefault(RETIRED, now)
            kept = [] if revoke else [r for r in records if r[RETIRED] > now - KEPT_RETIRED]
            changed = [*kept, _fresh()]
            keyfile.write(path, json.dumps({"keys": changed}).encode(), folder)
        return len(changed)

    @classmethod
    def open_or_create(cls, path: Path) -> Self:
        """Open the set, or make the first one; racing first starts agree on one file."""
        if not path.exists():
            try:
                return cls.create(path)
            except Conflict:
                pass
        return cls(path)

    def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        """Return the claims as a token of the type given."""
        self._load()
        kid, (_, key) = list(self._keys.items())[-1]
        header = {"alg": ALGORITHM, "typ": typ, "kid": kid}
        return jws.serialize_compact(header, json.dumps(claims), key, [ALGORITHM])

    def verify(self, token: str, typ: str) -> dict[str, Any]:
        """Return the claims of a token of the type given; raise BadToken if one of our keys did not sign it."""
        self._load()
        header, payload = verified(token, self._keys)
        if header.get("typ") != typ:
            raise BadToken
        return json_object(payload)

    def jwks(self) -> dict[str, Any]:
        """Return the public halves, as a JWK set."""
        self._load()
        return {"keys": [_public(key) for _, key in self._keys.values()]}

    def changed(self) -> bool:
        """Tell whether the file was replaced since it was read; what was verified before is open again."""
        return keyfile.identity(self._path) != self._identity

    def _load(self) -> None:
        identity = keyfile.identity(self._path)
        if identity == self._identity:
            return
        try:
            records = json.loads(keyfile.read(self._path))["keys"]
            keys = {record["kid"]: (ALGORITHM, trusted(record)) for record in records}
        except (ValueError, KeyError, TypeError, BadToken):
            raise Unavailable("The signing keys cannot be read.", code="key-unavailable") from None
        if not keys or not all(key.is_private for _, key in keys.values()):
            raise Unavailable("There is no key to sign with.", code="key-unavailable")
        self._keys, self._identity = keys, identity


def _fresh() -> dict[str, Any]:
    key = ECKey.generate_key("P-256")
    return {**key.as_dict(private=True), **_RECORD, "kid": key.thumbprint()}


def _public(key: ECKey) -> dict[str, Any]:
    return {k: v for k, v in key.as_dict(private=False).items() if k != RETIRED} | _RECORD


def trusted(record: Mapping[str, Any]) -> ECKey:
    """Return the key of a JWK record that is meant for ES256 signatures; raise BadToken for any other."""
    if any(record.get(name) != value for name, value in _RECORD.items()):
        raise BadToken
    if "key_ops" in record and "verify" not in record["key_ops"]:
        raise BadToken
    try:
        return ECKey.import_key(dict(record))
    except (JoseError, ValueError):
        raise BadToken from None


def verified(token: str, keys: Keys) -> tuple[dict[str, Any], bytes]:
    """Return header and payload of a token that one of the keys signed; raise BadToken for any other."""
    header = said(token, HEADER)
    algorithm, key = keys.get(str(header.get("kid")), (None, None))
    if key is None or header.get("alg") != algorithm or not header.keys() <= _HEADER:
        raise BadToken
    try:
        signed = jws.deserialize_compact(token, key, algorithms=[str(algorithm)])
    except (JoseError, ValueError):
        raise BadToken from None
    return header, signed.payload


def said(token: str, part: int) -> dict[str, Any]:
    """Read the header or the claims before any of it is believed; base64url's one spelling is joserfc's business."""
    if len(token) > LONGEST or token.count(".") != 2:  # noqa: PLR2004
        raise BadToken
    encoded = token.split(".")[part]
    try:
        return json_object(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except ValueError:
        raise BadToken from None


def json_object(text: bytes) -> dict[str, Any]:
    """Parse a JSON object in which no name stands twice (RFC 7515 §5.2, step 4)."""
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        raise BadToken from None
    if not isinstance(value, dict):
        raise BadToken
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError
    return dict(pairs)
