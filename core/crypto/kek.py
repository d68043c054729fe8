"""Key-encryption keys: what wraps the keys that seal. Vault and cloud KMSs fit the same protocol."""

from asyncio import to_thread
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from core.errors import Unavailable

Told = TypeVar("Told")


class KeyPurpose(StrEnum):
    """What a KEK wraps: patients' data keys, blind-index root keys, the keys of the audit trail."""

    RECORD = "record"
    INDEX = "index"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A wrapped key, and the version of the KEK it needs."""

    version: int
    blob: bytes = field(repr=False)


def out_of_reach(**members: Any) -> Unavailable:
    """Return the refusal for a KEK that may exist, and cannot be had now."""
    return Unavailable("A key is out of reach.", code="key-unavailable", **members)


class KekProvider(Protocol):
    """Holder of versioned KEKs, which never leave it.

    `context` names what is wrapped (patient, purpose, key id, version); the same bytes are needed
    to unwrap. Whatever needs a KEK raises `core.errors.Unavailable` if it is out of reach
    (`key-unavailable`), and DecryptError if the blob is forged or under another context (`auth`)
    or its KEK was destroyed (`key_destroyed`). `remote` ones are asked through the network, which takes
    milliseconds: not from an event loop.
    """

    remote: bool

    def wrap(self, purpose: KeyPurpose, secret: bytes, context: bytes) -> Wrapped:
        """Wrap under the current version."""
        ...

    def unwrap(self, purpose: KeyPurpose, wrapped: Wrapped, context: bytes) -> bytes:
        """Return what `wrap` was given."""
        ...

    def rewrap(self, purpose: KeyPurpose, wrapped: Wrapped, context: bytes) -> Wrapped:
        """Move a wrapped key to the current version."""
        ...

    def mac(self, purpose: KeyPurpose, label: bytes, message: bytes) -> bytes:
        """Authenticate `message` with a key derived for `label` alone: u32 KEK version, 32-byte tag."""
        ...

    def verify_mac(self, purpose: KeyPurpose, label: bytes, message: bytes, tag: bytes) -> bool:
        """Tell whether `tag` is what `mac` returned, under whichever version that still unwraps."""
        ...

    def add_version(self, purpose: KeyPurpose) -> int:
        """Make a new current version and return its number; those before still unwrap."""
        ...

    def current_version(self, purpose: KeyPurpose) -> int:
        """Return the version that wraps."""
        ...

    def versions(self, purpose: KeyPurpose) -> Collection[int]:
        """Return every version that still unwraps."""
        ...

    def destroy_version(self, purpose: KeyPurpose, version: int) -> None:
        """Forget a version for good, keeping its number. Conflict(`key-in-use`) for the current one."""
        ...


async def ask(provider: KekProvider, question: Callable[..., Told], *args: Any) -> Told:
    """Return what a function that asks the provider returns; a remote one is not waited for in the event loop."""
    return await to_thread(question, *args) if provider.remote else question(*args)
