"""KEKs in a file, for development and for clinics without a key-management service."""

from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from core.crypto import cobblestone, keyfile, keyset
from core.crypto.kek import KekProvider, KeyPurpose, Wrapped
from core.crypto.keyset import Kek
from core.crypto.primitives import KEY_BYTES, expand, lp, mac
from core.crypto.refusal import DecryptCode, DecryptError, Unpicklable
from core.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from core.crypto.aws import AwsKms
    from core.crypto.transit import VaultTransit

_OPTIONS: Final = {
    "vault": {"token-file", "prefix", "namespace", "ca-file"},
    "aws-kms": {"prefix", "endpoint"},
}
_SUPPORTED: Final = (
    "use file:/path, vault:https://host:port/mount?token-file=/path or aws-kms:region"
)


def create_keys(url: str) -> list[str]:
    """Make what is missing of the KEKs in the place `url` names; return what was made."""
    path = Path(unquote(urlsplit(url).path))
    if urlsplit(url).scheme != "file":
        return _remote(url).create()
    if path.exists():
        return []
    FileKeyring.create(path)
    return [str(path)]


def open_provider(url: str) -> KekProvider:
    """Return the provider `url` names: `file:/path`, `vault:https://host:port/mount?token-file=/path` or `aws-kms:region`.

    Raises ValueError, which names the scheme only: the rest of such a URL tells where keys are.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path and not parts.netloc:
        return FileKeyring(Path(unquote(parts.path)), _granted(parts.query))
    return _remote(url)


def _granted(query: str) -> frozenset[KeyPurpose]:
    """Return the purposes that `?purposes=audit,index` names; all of them if nothing is said, and none by a slip."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    if given.keys() - {"purposes"}:
        raise ValueError("a key provider file: knows ?purposes= alone")
    return frozenset(map(KeyPurpose, given["purposes"].split(",") if given else KeyPurpose))


def _remote(url: str) -> "VaultTransit | AwsKms":
    """Open a key-management service. What speaks to it is imported here: most clinics need neither."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme not in _OPTIONS or parts.netloc or not options.keys() <= _OPTIONS[parts.scheme]:
        raise ValueError(f"key provider '{parts.scheme}' is not supported; {_SUPPORTED}")
    try:
        from core.crypto.aws import AwsKms
        from core.crypto.transit import VaultTransit
    except ModuleNotFoundError:
        raise ValueError(f"'{parts.scheme}' needs more: pip install 'confide[kms]'") from None
    return (VaultTransit if parts.scheme == "vault" else AwsKms)(parts.path, options)


class FileKeyring(Unpicklable):
    """A KekProvider over a JSON file that is read again whenever another process has replaced it.

    A purpose that is not granted, or not in the file, is `key-unavailable`, and never in this process's memory for longer than a parse.
    """

    remote = False

    def __init__(self, path: Path, granted: frozenset[KeyPurpose] = frozenset(KeyPurpose)) -> None:
        self._path = path
        self._granted = granted
        self._identity: tuple[int, int] | None = None
        self._keyset: keyset.Keyset = {}
        self._load()

    @classmethod
    def create(cls, path: Path) -> Self:
        """Write a new keyring with one version of every purpose. Conflict(`keyring-exists`) if there is one."""
        with keyfile.exclusive(path) as folder:
            if path.exists():
                raise Conflict("There is a keyring already.", code="keyring-exists")
            new = {purpose: (keyset.fresh(1),) for purpose in KeyPurpose}
            keyfile.write(path, keyset.dump(new), folder)
        return cls(path)

    def add_version(self, purpose: KeyPurpose) -> int:
        """Make a new current version and return its number; the one before still unwraps."""
        self._rewrite(purpose, keyset.grown)
        return self.current_version(purpose)

    def wrap(self, purpose: KeyPurpose, secret: bytes, context: bytes) -> Wrapped:
        version = self.current_version(purpose)
        key, bound = self._key(purpose, version), _bound(purpose, version, context)
        return Wrapped(version, cobblestone.encrypt(key, bound, secret))

    def unwrap(self, purpose: KeyPurpose, wrapped: Wrapped, context: bytes) -> bytes:
        key = self._key(purpose, wrapped.version)
        return cobblestone.decrypt(key, _bound(purpose, wrapped.version, context), wrapped.blob)

    def rewrap(self, purpose: KeyPurpose, wrapped: Wrapped, context: bytes) -> Wrapped:
        return self.wrap(purpose, self.unwrap(purpose, wrapped, context), context)

    def mac(self, purpose: KeyPurpose, label: bytes, message: bytes) -> bytes:
        version = self.current_version(purpose)
        return version.to_bytes(4, "big") + mac(self._mac_key(purpose, version, label), message)

    def verify_mac(self, purpose: KeyPurpose, label: bytes, message: bytes, tag: bytes) -> bool:
        version = int.from_bytes(tag[:4], "big")
        if version not in self.versions(purpose):
            return False
        return compare_digest(tag[4:], mac(self._mac_key(purpose, version, label), message))

    def current_version(self, purpose: KeyPurpose) -> int:
        return self._keks(purpose)[-1].version

    def versions(self, purpose: KeyPurpose) -> frozenset[int]:
        return frozenset(kek.version for kek in self._keks(purpose) if kek.key)

    def destroy_version(self, purpose: KeyPurpose, version: int) -> None:
        self._rewrite(purpose, lambda keks: keyset.without(keks, version))

    def _mac_key(self, purpose: KeyPurpose, version: int, label: bytes) -> bytes:
        """Derive beside the wrapping use of the same KEK: Cobblestone's HKDF info starts otherwise."""
        info = lp("confide/mac/v1", purpose, label)
        return expand(self._key(purpose, version), info, KEY_BYTES)

    def _key(self, purpose: KeyPurpose, version: int) -> bytes:
        key = keyset.find(self._keks(purpose), version).key
        if key is None:
            raise DecryptError(DecryptCode.KEY_DESTROYED)
        return key

    def _keks(self, purpose: KeyPurpose) -> tuple[Kek, ...]:
        self._load()
        keks = self._keyset.get(purpose)
        if keks is None:
            raise Unavailable("The keyring lacks a purpose.", code="key-unavailable")
        return keks

    def _load(self) -> None:
        identity = keyfile.identity(self._path)
        if identity != self._identity:
            found = keyset.load(keyfile.read(self._path))
            self._keyset = {p: keks for p, keks in found.items() if p in self._granted}
            self._identity = identity

    def _rewrite(
        self, purpose: KeyPurpose, change: Callable[[tuple[Kek, ...]], tuple[Kek, ...]]
    ) -> None:
        with keyfile.exclusive(self._path) as folder:
            self._identity = None  # a stale read here would write a key out of existence
            keks = self._keks(purpose)
            changed = {**keyset.load(keyfile.read(self._path)), purpose: change(keks)}
            keyfile.write(self._path, keyset.dump(changed), folder)


def _bound(purpose: KeyPurpose, version: int, context: bytes) -> bytes:
    return lp("confide/wrap/v1", purpose, version.to_bytes(4, "big")) + context
