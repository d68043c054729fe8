import json
import pickle
from itertools import permutations
from pathlib import Path

import pytest

from core.crypto.kek import KekProvider, KeyPurpose, Wrapped
from core.crypto.keyring import FileKeyring, open_provider
from core.crypto.refusal import DecryptError
from core.errors import Conflict, Unavailable

RECORD, INDEX, AUDIT = KeyPurpose
SECRET = b"a data key, of 32 bytes in all.."
CONTEXT = b"patient 1, key 7, version 1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys #1.json"


@pytest.fixture
def keyring(path: Path) -> FileKeyring:
    return FileKeyring.create(path)


# What every provider must do


@pytest.fixture
def provider(keyring: FileKeyring) -> KekProvider:
    return keyring


def test_a_wrapped_key_does_not_unwrap_in_another_context_or_purpose(provider: KekProvider):
    wrapped = provider.wrap(RECORD, SECRET, CONTEXT)
    for purpose, context in [(RECORD, b"patient 2"), (INDEX, CONTEXT), (AUDIT, CONTEXT)]:
        with pytest.raises(DecryptError) as refusal:
            provider.unwrap(purpose, wrapped, context)
        assert str(refusal.value) == "auth"


def test_a_wrapped_key_with_any_bit_flipped_does_not_unwrap(provider: KekProvider):
    wrapped = provider.wrap(RECORD, SECRET, CONTEXT)
    for bit in range(8 * len(wrapped.blob)):
        forged = bytearray(wrapped.blob)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptError, match=r"^auth$"):
            provider.unwrap(RECORD, Wrapped(wrapped.version, bytes(forged)), CONTEXT)


def test_a_key_wrapped_under_one_version_does_not_unwrap_under_another(keyring: FileKeyring):
    wrapped = keyring.wrap(RECORD, SECRET, CONTEXT)
    keyring.add_version(RECORD)
    with pytest.raises(DecryptError, match=r"^auth$"):
        keyring.unwrap(RECORD, Wrapped(2, wrapped.blob), CONTEXT)


def test_a_missing_version_is_unavailable_and_not_a_forgery(provider: KekProvider):
    with pytest.raises(Unavailable) as refusal:
        provider.unwrap(RECORD, Wrapped(9, bytes(104)), CONTEXT)
    assert refusal.value.code == "key-unavailable"
    assert refusal.value.members == {"version": 9}


def test_one_bad_key_among_many_unwraps_none(provider: KekProvider):
    good = provider.wrap(RECORD, SECRET, CONTEXT)
    with pytest.raises(DecryptError):
        provider.unwrap_many(RECORD, [(good, CONTEXT), (good, b"another")])


def test_the_current_version_cannot_be_destroyed(provider: KekProvider):
    with pytest.raises(Conflict) as refusal:
        provider.destroy_version(RECORD, provider.current_version(RECORD))
    assert refusal.value.code == "key-in-use"
    assert provider.versions(RECORD) == {1}


def test_what_a_destroyed_version_wrapped_never_comes_back(keyring: FileKeyring, path: Path):
    wrapped = keyring.wrap(RECORD, SECRET, CONTEXT)
    key = json.loads(path.read_text())["record"][0]["key"]
    keyring.add_version(RECORD)
    keyring.destroy_version(RECORD, 1)
    with pytest.raises(DecryptError, match=r"^key_destroyed$"):
        keyring.unwrap(RECORD, wrapped, CONTEXT)
    assert key not in path.read_text()
    assert keyring.versions(RECORD) == {2}
    assert keyring.add_version(RECORD) == 3


def test_a_version_that_never_was_cannot_be_destroyed(provider: KekProvider):
    with pytest.raises(Unavailable):
        provider.destroy_version(RECORD, 9)


def test_keys_unwrap_as_they_were_wrapped_and_a_wrap_is_104_bytes(provider: KekProvider):
    wraps = [provider.wrap(RECORD, SECRET, bytes([n])) for n in range(5)]
    assert {len(wrapped.blob) for wrapped in wraps} == {104}
    pairs = [(wrapped, bytes([n])) for n, wrapped in enumerate(wraps)]
    assert provider.unwrap_many(RECORD, pairs) == [SECRET] * 5
    assert SECRET not in b"".join(wrapped.blob for wrapped in wraps)


def test_a_rotation_wraps_anew_while_the_old_version_still_unwraps(keyring: FileKeyring):
    old = keyring.wrap(RECORD, SECRET, CONTEXT)
    assert keyring.add_version(RECORD) == 2
    new = keyring.rewrap(RECORD, old, CONTEXT)
    assert (old.version, new.version) == (1, 2)
    assert keyring.unwrap(RECORD, old, CONTEXT) == keyring.unwrap(RECORD, new, CONTEXT) == SECRET
    assert keyring.current_version(INDEX) == 1


def test_a_version_added_by_another_process_is_seen_at_once(keyring: FileKeyring, path: Path):
    FileKeyring(path).add_version(RECORD)
    assert keyring.wrap(RECORD, SECRET, CONTEXT).version == 2


def test_a_writer_that_saw_an_older_file_keeps_what_others_added(keyring: FileKeyring, path: Path):
    FileKeyring(path).add_version(INDEX)
    keyring.add_version(RECORD)
    assert [keyring.current_version(purpose) for purpose in KeyPurpose] == [2, 2, 1]


def test_a_purpose_the_file_does_not_grant_is_unavailable(keyring: FileKeyring, path: Path):
    entries = json.loads(path.read_text())
    path.write_text(json.dumps({"audit": entries["audit"]}))
    assert keyring.verify_mac(AUDIT, b"batch", b"events", keyring.mac(AUDIT, b"batch", b"events"))
    with pytest.raises(Unavailable) as refusal:
        keyring.unwrap(RECORD, Wrapped(1, bytes(104)), CONTEXT)
    assert refusal.value.code == "key-unavailable"


# MACs


def test_a_mac_holds_for_its_message_label_and_purpose_only(provider: KekProvider):
    tag = provider.mac(AUDIT, b"batch", b"events")
    assert provider.verify_mac(AUDIT, b"batch", b"events", tag)
    for wrong in [
        (AUDIT, b"batch", b"event"),
        (AUDIT, b"other", b"events"),
        (INDEX, b"batch", b"events"),
    ]:
        assert not provider.verify_mac(*wrong, tag)


def test_a_mac_with_any_bit_flipped_or_cut_anywhere_does_not_hold(provider: KekProvider):
    tag = provider.mac(AUDIT, b"batch", b"events")
    for bit in range(8 * len(tag)):
        forged = bytearray(tag)
        forged[bit // 8] ^= 1 << bit % 8
        assert not provider.verify_mac(AUDIT, b"batch", b"events", bytes(forged))
    for length in (*range(len(tag)), len(tag) + 1):
        assert not provider.verify_mac(AUDIT, b"batch", b"events", (tag + b"\0")[:length])


def test_a_mac_made_before_a_rotation_still_holds(keyring: FileKeyring):
    tag = keyring.mac(AUDIT, b"batch", b"events")
    keyring.add_version(AUDIT)
    assert keyring.verify_mac(AUDIT, b"batch", b"events", tag)
    assert keyring.mac(AUDIT, b"batch", b"events")[:4] == b"\0\0\0\2"


def test_no_two_labels_and_purposes_share_a_mac_key(provider: KekProvider):
    names = [*permutations([b"a", b"b", b"ab"], 1)]
    tags = {provider.mac(purpose, label, b"m") for purpose in KeyPurpose for (label,) in names}
    assert len(tags) == 9


# Names


def test_a_file_url_opens_the_keyring_it_names(keyring: FileKeyring, path: Path):
    wrapped = keyring.wrap(RECORD, SECRET, CONTEXT)
    for url in (path.as_uri(), path.as_uri().replace("file://", "file:")):
        assert open_provider(url).unwrap(RECORD, wrapped, CONTEXT) == SECRET


@pytest.mark.parametrize(
    "url",
    ["vault://token-canary@host/x", "aws:canary", "/canary", "file://host/canary", "file:", ""],
)
def test_any_other_url_is_refused_naming_what_is_supported_and_no_token(url: str):
    with pytest.raises(ValueError, match=r"is not supported; use file:/path$") as refusal:
        open_provider(url)
    assert "canary" not in str(refusal.value)


def test_a_keyring_and_a_wrapped_key_show_nothing_of_themselves(keyring: FileKeyring, path: Path):
    key = bytes.fromhex(json.loads(path.read_text())["record"][0]["key"])
    shown = repr((keyring, keyring._keyset, keyring.wrap(RECORD, SECRET, CONTEXT)))
    assert repr(key)[2:-1] not in shown
    assert "blob" not in shown
    with pytest.raises(TypeError, match="FileKeyring"):
        pickle.dumps(keyring)
