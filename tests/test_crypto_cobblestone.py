import hashlib
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.crypto.cobblestone import decrypt, decrypt_stream, encrypt, encrypt_stream
from core.crypto.refusal import DecryptCode, DecryptError
from tests.outside import outside

KEY = bytes(range(32))
CHUNK = 16 * 1024


def _vectors() -> list[dict[str, Any]]:
    path = outside("wycheproof", "c2sp_chunked_encryption_aes_256_gcm_test.json")
    return [case for group in json.loads(path.read_text())["testGroups"] for case in group["tests"]]


def _inputs(case: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    key, context, packed = (bytes.fromhex(case[name]) for name in ("key", "ctx", "ct"))
    return key, context, zlib.decompress(packed)


def _released(key: bytes, context: bytes, ciphertext: bytes, step: int) -> tuple[bytes, bool]:
    """Return what a stream gave out, and whether it ended well."""
    parts = (ciphertext[at : at + step] for at in range(0, len(ciphertext), step))
    out = bytearray()
    try:
        for piece in decrypt_stream(key, context, parts):
            out += piece
    except (DecryptError, ValueError):
        return bytes(out), False
    return bytes(out), True


def test_the_vectors_that_are_invalid_are_refused_in_one_go():
    for case in _vectors():
        if case["result"] == "invalid":
            refusal = ValueError if "InvalidKeySize" in case["flags"] else DecryptError
            with pytest.raises(refusal):
                decrypt(*_inputs(case))


def test_the_vectors_that_are_valid_decrypt_in_one_go():
    for case in _vectors():
        if case["result"] == "valid":
            plaintext = decrypt(*_inputs(case))
            assert hashlib.sha512(plaintext).hexdigest() == case["msgSha512"], case["tcId"]


@pytest.mark.parametrize("step", [1, 997, CHUNK])
def test_a_stream_releases_the_valid_prefix_of_a_vector_and_nothing_more(step: int):
    for case in _vectors():
        released, complete = _released(*_inputs(case), step)
        digest = case.get("msgSha512", hashlib.sha512(b"").hexdigest())
        assert hashlib.sha512(released).hexdigest() == digest, case["tcId"]
        assert complete == (case["result"] == "valid"), case["tcId"]


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1])
def test_a_ciphertext_cut_or_extended_anywhere_is_refused(length: int):
    whole = encrypt(KEY, b"ctx", bytes(length))
    edges = {*range(120), *range(len(whole) - 40, len(whole))} & {*range(len(whole))}
    for wrong in [*(whole[:cut] for cut in edges), *(whole + bytes(more) for more in (1, 16, 17))]:
        with pytest.raises(DecryptError) as refusal:
            decrypt(KEY, b"ctx", wrong)
        assert refusal.value.code is DecryptCode.AUTH
        assert refusal.value.__context__ is None


def test_another_context_is_refused():
    with pytest.raises(DecryptError):
        decrypt(KEY, b"attachment 2", encrypt(KEY, b"attachment 1", b"scan"))


@given(st.lists(st.binary(max_size=3 * CHUNK), max_size=4), st.binary(max_size=40), st.integers(1))
def test_any_stream_comes_back_whatever_the_size_of_its_parts(
    parts: list[bytes], context: bytes, step: int
):
    sealed = b"".join(encrypt_stream(KEY, context, parts))
    message = b"".join(parts)
    assert len(sealed) == 56 + len(message) + 16 * (len(message) // CHUNK + 1)
    assert _released(KEY, context, sealed, min(step, len(sealed))) == (message, True)
