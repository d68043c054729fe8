"""Wycheproof judges the primitives, through our own functions."""

import hmac
import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from core.crypto.envelope import _decrypted
from core.crypto.primitives import aead, expand, mac
from tests.outside import outside


def _cases(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    groups = json.loads(outside("wycheproof", name).read_text())["testGroups"]
    return ((group, case) for group in groups for case in group["tests"])


def _bytes(case: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


def _gcm(*, ours: bool) -> list[dict[str, Any]]:
    return [
        case
        for group, case in _cases("aes_gcm_test.json")
        if ((group["keySize"], group["ivSize"]) == (256, 96)) == ours
    ]


def test_aes_gcm_opens_what_wycheproof_calls_valid_and_refuses_the_rest():
    cases = _gcm(ours=True)
    for case in cases:
        key, iv, aad, msg, ct, tag = _bytes(case, "key", "iv", "aad", "msg", "ct", "tag")
        cell = bytes(12) + iv + bytes(32) + ct + tag
        expected = msg if case["result"] == "valid" else None
        assert _decrypted(aead(key), cell, aad) == expected, case["tcId"]
    assert len(cases) == 66


def test_aes_gcm_seals_exactly_as_wycheproof_says():
    for case in _gcm(ours=True):
        key, iv, aad, msg, ct, tag = _bytes(case, "key", "iv", "aad", "msg", "ct", "tag")
        if case["result"] == "valid":
            assert aead(key).encrypt(iv, msg, aad) == ct + tag, case["tcId"]


def test_aes_keys_shorter_than_256_bits_are_refused_and_other_nonces_have_no_cell_to_be_in():
    others = _gcm(ours=False)
    for case in others:
        if len(case["key"]) != 64:
            with pytest.raises(ValueError, match="a key has 32 bytes"):
                aead(bytes.fromhex(case["key"]))
        else:
            assert len(case["iv"]) != 24
    assert len(others) == 250


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_hkdf_expands_as_wycheproof_says_and_refuses_what_is_too_long(
    algorithm: Literal["sha256", "sha512"],
):
    for _, case in _cases(f"hkdf_{algorithm}_test.json"):
        ikm, salt, info, okm = _bytes(case, "ikm", "salt", "info", "okm")
        extracted = hmac.digest(salt, ikm, algorithm)
        if case["result"] == "valid":
            assert expand(extracted, info, case["size"], algorithm) == okm, case["tcId"]
        else:
            with pytest.raises(ValueError, match="larger"):
                expand(extracted, info, case["size"], algorithm)


def test_hmac_sha256_agrees_with_wycheproof_truncated_tags_included():
    for group, case in _cases("hmac_sha256_test.json"):
        key, msg, tag = _bytes(case, "key", "msg", "tag")
        agrees = mac(key, msg)[: group["tagSize"] // 8] == tag
        assert agrees == (case["result"] == "valid"), case["tcId"]
