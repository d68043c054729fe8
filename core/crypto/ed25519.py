"""Ed25519 (RFC 8032): the signatures under the audit log. The key lies in a file of its owner's alone."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from core.crypto import keyfile
from core.crypto.refusal import Unpicklable

SEED_BYTES = 32


class SigningKey(Unpicklable):
    """A private key, made of 32 secret bytes."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public(self) -> bytes:
        """Return the public key, 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._key.sign(message)


def new_seed() -> bytes:
    """Return the secret of a new key."""
    return os.urandom(SEED_BYTES)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether the key's owner signed the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def keep(path: Path, text: str) -> None:
    """Write a key's text to a file of its owner's alone, unless there is one."""
    with keyfile.exclusive(path) as folder:
        if not path.exists():
            keyfile.write(path, text.encode(), folder)


def replace(path: Path, text: str) -> None:
    """Write a key's text in the place of what the file held."""
    with keyfile.exclusive(path) as folder:
        keyfile.write(path, text.encode(), folder)


def kept(path: Path) -> str:
    """Return a key's text; Unavailable if it is not there, or not its owner's alone."""
    return keyfile.read(path).decode()
