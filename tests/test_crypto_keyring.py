import json
import pickle
from itertools import permutations
from pathlib import Path

import pytest

from core.crypto.kek import KeyPurpose, Wrapped
from core.crypto.keyring import FileKeyring, open_provider
from core.errors import Unavailable

RECORD, INDEX, AUDIT = KeyPurpose
SECRET = b"a data key, of 32 bytes in all.."
CONTEXT = b"patient 1, key 7, version 1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys #1.json"


@pytest.fixture
def keyring(path: Path) -> FileKeyring:
    return FileKeyring.create(path)


# Wrapping: test_crypto_providers.py has what every provider must do


def test_a_key_is_gone_from_the_file_with_its_version(keyring: FileKeyring, path: Path):
    key = json.loads(path.read_text())["record"][0]["key"]
    keyring.add_version(RECORD)
    assert key in path.read_text()
    keyring.destroy_version(RECORD, 1)
    assert key not in path.read_text()


def test_a_wrap_is_104_bytes(keyring: FileKeyring):
    assert len(keyring.wrap(RECORD, SECRET, CONTEXT).blob) == 104


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


@pytest.mark.parametrize(
    "slip", ["?purpose=audit", "?purposes=", "?purposes=audits", "?purposes=audit&x=1"]
)
def test_a_slip_in_the_purposes_grants_nothing(keyring: FileKeyring, path: Path, slip: str):
    assert keyring.current_version(RECORD) == 1
    with pytest.raises(ValueError, match=r"purposes|KeyPurpose"):
        open_provider(path.as_uri() + slip)


def test_who_asks_for_one_purpose_holds_no_other_and_loses_none_of_them(
    keyring: FileKeyring, path: Path
):
    narrow = open_provider(f"{path.as_uri()}?purposes=audit")
    assert narrow.mac(AUDIT, b"batch", b"events")
    for purpose in (RECORD, INDEX):
        with pytest.raises(Unavailable):
            narrow.unwrap(purpose, keyring.wrap(purpose, SECRET, CONTEXT), CONTEXT)
    assert narrow.add_version(AUDIT) == 2
    assert keyring.current_version(RECORD) == 1


# MACs


def test_no_two_labels_and_purposes_share_a_mac_key(keyring: FileKeyring):
    names = [*permutations([b"a", b"b", b"ab"], 1)]
    tags = {keyring.mac(purpose, label, b"m") for purpose in KeyPurpose for (label,) in names}
    assert len(tags) == 9


# Names


def test_a_file_url_opens_the_keyring_it_names(keyring: FileKeyring, path: Path):
    wrapped = keyring.wrap(RECORD, SECRET, CONTEXT)
    for url in (path.as_uri(), path.as_uri().replace("file://", "file:")):
        assert open_provider(url).unwrap(RECORD, wrapped, CONTEXT) == SECRET


@pytest.mark.parametrize(
    "url",
    [
        "vault://token-canary@host/x",
        "vault:https://host/transit?token=canary",
        "aws:canary",
        "/canary",
        "file://host/canary",
        "file:",
        "",
    ],
)
def test_any_other_url_is_refused_naming_what_is_supported_and_no_token(url: str):
    with pytest.raises(ValueError, match=r"is not supported; use file:/path, vault:") as refusal:
        open_provider(url)
    assert "canary" not in str(refusal.value)


def test_a_keyring_and_a_wrapped_key_show_nothing_of_themselves(keyring: FileKeyring, path: Path):
    key = bytes.fromhex(json.loads(path.read_text())["record"][0]["key"])
    shown = repr((keyring, keyring._keyset, keyring.wrap(RECORD, SECRET, CONTEXT)))
    assert repr(key)[2:-1] not in shown
    assert "blob" not in shown
    with pytest.raises(TypeError, match="FileKeyring"):
        pickle.dumps(keyring)
