"""KEKs in HashiCorp Vault's transit engine, or OpenBao's: they never leave it, and what they wrap is bound to its context there.

A purpose is a key of the engine, named `<prefix>-<purpose>`; which of them this process may use, Vault's policy of its token says.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import hvac
from hvac.exceptions import InvalidPath, InvalidRequest, VaultError
from requests import RequestException

from core.crypto import keyfile
from core.crypto.kek import KeyPurpose, Wrapped, out_of_reach
from core.crypto.primitives import lp
from core.crypto.refusal import DecryptCode, DecryptError, Unpicklable
from core.errors import Conflict
from core.settings import guarded

SECONDS: Final = 1.5
"""How long one call may take. None is repeated: a request that cannot have its key is told so at once."""
_TAG: Final = 36
"""Bytes of a MAC: u32 version, HMAC-SHA256."""
_ITS_FILE: Final = "file with Vault's token"


class VaultTransit(Unpicklable):
    """A KekProvider over `vault:https://HOST:PORT/MOUNT?token-file=PATH`; the token is read again whenever its file changes."""

    remote = True

    def __init__(self, address: str, options: dict[str, str]) -> None:
        parts = urlsplit(address)
        mount = parts.path.strip("/")
        if not (guarded(address) and mount) or "@" in parts.netloc or "token-file" not in options:
            raise ValueError("a vault: key provider is https://HOST:PORT/MOUNT?token-file=PATH")
        self._mount = mount
        self._token_file = Path(options["token-file"])
        self._prefix = options.get("prefix", "confide")
        self._identity: tuple[int, int] | None = None
        self._client = hvac.Client(
            url=f"{parts.scheme}://{parts.netloc}",
            timeout=SECONDS,
            namespace=options.get("namespace"),
            verify=options.get("ca-file", True),
        )

    def create(self) -> list[str]:
        """Make the keys that are missing; return their names."""
        return [self._make(purpose) for purpose in KeyPurpose if not self._exists(purpose)]

    def wrap(self, purpose: KeyPurpose, secret: bytes, context: bytes) -> Wrapped:
        text = b64encode(secret).decode()
        made = self._made("encrypt_data", purpose, plaintext=text, context=_bound(context))
        return _wrapped(made["ciphertext"])

    def unwrap(self, purpose: KeyPurpose, wrapped: Wrapped, context: bytes) -> bytes:
        return b64decode(self._of("decrypt_data", purpose, wrapped, context)["plaintext"])

    def rewrap(self, purpose: KeyPurpose, wrapped: Wrapped, context: bytes) -> Wrapped:
        return _wrapped(self._of("rewrap_data", purpose, wrapped, context)["ciphertext"])

    def mac(self, purpose: KeyPurpose, label: bytes, message: bytes) -> bytes:
        made = self._made("generate_hmac", purpose, hash_input=_digest(label, message))
        _, version, tag = made["hmac"].split(":")
        return int(version[1:]).to_bytes(4, "big") + b64decode(tag)

    def verify_mac(self, purpose: KeyPurpose, label: bytes, message: bytes, tag: bytes) -> bool:
        version = int.from_bytes(tag[:4], "big")
        if len(tag) != _TAG or not version:
            return False
        named = f"vault:v{version}:{b64encode(tag[4:]).decode()}"
        try:
            told = self._call(
                "verify_signed_data", purpose, hash_input=_digest(label, message), hmac=named
            )
        except InvalidRequest:
            return False
        return bool(told["valid"])

    def add_version(self, purpose: KeyPurpose) -> int:
        self._call("rotate_key", purpose)
        return self.current_version(purpose)

    def current_version(self, purpose: KeyPurpose) -> int:
        return int(self._read(purpose)["latest_version"])

    def versions(self, purpose: KeyPurpose) -> frozenset[int]:
        key = self._read(purpose)
        return frozenset(range(int(key["min_decryption_version"]), int(key["latest_version"]) + 1))

    def destroy_version(self, purpose: KeyPurpose, version: int) -> None:
        """Trim the oldest version away: transit destroys in this order only."""
        left = self.versions(purpose)
        if version not in left:
            raise out_of_reach(version=version)
        if version == max(left):
            raise Conflict("The current key version still wraps.", code="key-in-use")
        if version != min(left):
            raise Conflict("The older versions must be destroyed first.", code="older-key-first")
        self._call("update_key_configuration", purpose, min_encryption_version=max(left))
        self._call("update_key_configuration", purpose, min_decryption_version=version + 1)
        self._call("trim_key", purpose, min_version=version + 1)

    def _of(self, what: str, purpose: KeyPurpose, wrapped: Wrapped, context: bytes) -> Any:
        """Return what a call makes of a wrapped key: transit's own text, which must be of the version that its row says.

        Vault says of a refusal no more than 400; the key's versions tell why.
        """
        text = wrapped.blob.decode("latin-1")
        if text.isascii() and text.startswith(f"vault:v{wrapped.version}:"):
            with suppress(InvalidRequest):
                return self._call(what, purpose, ciphertext=text, context=_bound(context))
        raise self._refusal(purpose, wrapped.version)

    def _made(self, what: str, purpose: KeyPurpose, **given: Any) -> Any:
        """Return what a call makes. Whatever refuses it, a key that makes nothing is out of reach."""
        with suppress(InvalidRequest, InvalidPath):
            return self._call(what, purpose, **given)
        raise out_of_reach()

    def _refusal(self, purpose: KeyPurpose, version: int) -> Exception:
        left = self.versions(purpose)
        if version > max(left):
            return out_of_reach(version=version)
        destroyed = version < min(left)
        return DecryptError(DecryptCode.KEY_DESTROYED if destroyed else DecryptCode.AUTH)

    def _exists(self, purpose: KeyPurpose) -> bool:
        transit = self._client.secrets.transit
        try:
            self._reach(transit.read_key, self._name(purpose), mount_point=self._mount)
        except InvalidPath:
            return False
        return True

    def _make(self, purpose: KeyPurpose) -> str:
        """Make a key that derives another one of each context, which binds what it wraps."""
        self._call("create_key", purpose, key_type="aes256-gcm96", derived=True)
        return self._name(purpose)

    def _read(self, purpose: KeyPurpose) -> Any:
        return self._call("read_key", purpose)

    def _name(self, purpose: KeyPurpose) -> str:
        return f"{self._prefix}-{purpose}"

    def _call(self, what: str, purpose: KeyPurpose, **given: Any) -> Any:
        """Call the engine about a purpose's key; a key that is not there is out of reach."""
        function = getattr(self._client.secrets.transit, what)
        try:
            told = self._reach(function, self._name(purpose), mount_point=self._mount, **given)
        except InvalidPath:
            told = None
        if told is None:
            raise out_of_reach()
        return told["data"] if isinstance(told, dict) else {}

    def _reach(self, function: Callable[..., Any], *args: Any, **given: Any) -> Any:
        """Call Vault with the token of the hour. What it refuses for good reasons goes on; all else is out of reach."""
        identity = keyfile.identity(self._token_file, _ITS_FILE)
        if identity != self._identity:
            self._client.token = keyfile.read(self._token_file, _ITS_FILE).decode().strip()
            self._identity = identity
        try:
            return function(*args, **given)
        except (InvalidRequest, InvalidPath):
            raise
        except (VaultError, RequestException, ValueError):
            pass
        raise out_of_reach()


def _bound(context: bytes) -> str:
    return b64encode(context).decode()


def _wrapped(text: str) -> Wrapped:
    return Wrapped(int(text.split(":")[1][1:]), text.encode())


def _digest(label: bytes, message: bytes) -> str:
    return b64encode(lp("confide/mac/v1", label, sha256(message).digest())).decode()
