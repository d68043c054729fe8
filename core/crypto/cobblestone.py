"""C2: Cobblestone-256, the chunked encryption of c2sp.org/chunked-encryption over AES-256-GCM.

A ciphertext is `salt 24 | commitment 32 | chunks`; each chunk is 16 KiB and a 16-byte tag, the
last one always shorter, so that a stream cut anywhere is seen to be cut. The construction is the
library's; what is ours is that every refusal is a DecryptError.
"""

from collections.abc import Iterable, Iterator

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from core.crypto.primitives import secret_key
from core.crypto.refusal import DecryptCode, DecryptError


def encrypt(key: bytes, context: bytes, plaintext: bytes) -> bytes:
    """Encrypt in one go. `key` is 32 uniformly random bytes; decryption needs the same `context`."""
    return b"".join(encrypt_stream(key, context, [plaintext]))


def decrypt(key: bytes, context: bytes, ciphertext: bytes) -> bytes:
    """Return all of the plaintext or raise DecryptError(`auth`); a valid prefix is not handed out."""
    return b"".join(decrypt_stream(key, context, [ciphertext]))


def encryptor(key: bytes, context: bytes) -> Cobblestone256Encryptor:
    """Return what encrypts a message handed to it part by part: `update`, and `finalize` at the end."""
    return Cobblestone256Encryptor(secret_key(key), context)


def encrypt_stream(key: bytes, context: bytes, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Encrypt parts of any size; the pieces that come out, joined, are one ciphertext."""
    sealing = encryptor(key, context)
    for part in parts:
        yield sealing.update(part)
    yield sealing.finalize()


def decrypt_stream(key: bytes, context: bytes, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Decrypt parts of any size. Only authenticated bytes come out, a whole chunk at a time.

    The message is complete when the iterator ends, and not before: after a DecryptError(`auth`)
    what has come out is an authentic beginning whose end is missing or forged.
    """
    decryptor = Cobblestone256Decryptor(secret_key(key), context)
    for part in parts:
        yield _step(decryptor, part)
    yield _step(decryptor, None)


def _step(decryptor: Cobblestone256Decryptor, part: bytes | None) -> bytes:
    try:
        return decryptor.finalize() if part is None else decryptor.update(part)
    except InvalidTag:
        pass
    raise DecryptError(DecryptCode.AUTH)
