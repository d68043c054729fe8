"""The three primitives everything here is made of, and one encoding. Wycheproof judges each."""

import hmac
from typing import Final, Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_BYTES: Final = 32

_HASHES: Final = {"sha256": hashes.SHA256, "sha512": hashes.SHA512}


def secret_key(secret: bytes) -> bytes:
    """Return `secret` if it can be a key, that is if it has 256 bits."""
    if len(secret) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(secret)}")
    return secret


def aead(key: bytes) -> AESGCM:
    """Return AES-256-GCM under `key`; shorter AES keys are refused."""
    return AESGCM(secret_key(key))


def expand(
    secret: bytes, info: bytes, length: int, algorithm: Literal["sha256", "sha512"] = "sha512"
) -> bytes:
    """HKDF-Expand (RFC 5869). There is no Extract step, so `secret` must be uniformly random."""
    return HKDFExpand(algorithm=_HASHES[algorithm](), length=length, info=info).derive(secret)


def mac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256, 32 bytes."""
    return hmac.digest(key, message, "sha256")


def lp(*parts: str | bytes) -> bytes:
    """Join parts so that no two lists of parts join alike: each has a u16 big-endian byte length in front."""
    joined = b""
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        joined += len(raw).to_bytes(2, "big") + raw
    return joined
