"""The file under the keyring: whose it is, what may be in it, and how it is replaced."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.crypto.kek import KeyPurpose
from core.crypto.keyring import FileKeyring
from core.errors import Conflict, Unavailable

RECORD = KeyPurpose.RECORD
SECRET = b"a data key, of 32 bytes in all.."
CONTEXT = b"patient 1, key 7, version 1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys #1.json"


@pytest.fixture
def keyring(path: Path) -> FileKeyring:
    return FileKeyring.create(path)


def _unavailable(path: Path) -> str:
    with pytest.raises(Unavailable) as refusal:
        FileKeyring(path)
    assert refusal.value.__cause__ is None
    return refusal.value.code


def _edit(path: Path, **purposes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **purposes}))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o610, 0o604, 0o601, 0o777])
def test_a_keyring_that_group_or_others_have_any_right_on_is_refused(
    keyring: FileKeyring, path: Path, mode: int
):
    path.chmod(mode)
    assert _unavailable(path) == "keyring-exposed"
    with pytest.raises(Unavailable):
        keyring.wrap(RECORD, SECRET, CONTEXT)


def test_a_keyring_of_another_user_is_refused(
    keyring: FileKeyring, path: Path, monkeypatch: pytest.MonkeyPatch
):
    keyring.current_version(RECORD)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert _unavailable(path) == "keyring-exposed"


def test_a_keyring_that_is_not_there_is_unavailable(keyring: FileKeyring, path: Path):
    path.unlink()
    assert _unavailable(path) == "key-unavailable"
    with pytest.raises(Unavailable):
        keyring.current_version(RECORD)


KEY = "ab" * 32
ACTIVE = {"version": 1, "state": "active", "key": KEY}


@pytest.mark.parametrize(
    "record",
    [
        [],
        [{**ACTIVE, "key": "ab"}],
        [{**ACTIVE, "key": None}],
        [{**ACTIVE, "state": "destroyed"}],
        [{**ACTIVE, "state": "decrypt_only"}],
        [{**ACTIVE, "state": "asleep"}],
        [{**ACTIVE, "version": 2}, {**ACTIVE, "version": 1, "state": "decrypt_only"}],
        [ACTIVE, {**ACTIVE, "version": 2}],
        [{**ACTIVE, "state": "decrypt_only"}, ACTIVE],
        [{"version": 1}],
        KEY,
        None,
    ],
)
def test_a_keyring_that_makes_no_sense_is_refused_without_showing_a_key(
    keyring: FileKeyring, path: Path, record: object
):
    _edit(path, record=record)
    with pytest.raises(Unavailable) as refusal:
        keyring.current_version(RECORD)
    assert refusal.value.code == "keyring-broken"
    assert refusal.value.__context__ is None
    assert KEY not in f"{refusal.value!r}{vars(refusal.value)}"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"record"', '{"other": []}', "\ud7ff"])
def test_a_file_that_is_no_keyring_is_refused(path: Path, text: str):
    path.write_text(text)
    path.chmod(0o600)
    assert _unavailable(path) == "keyring-broken"


def test_an_existing_keyring_is_never_written_over(keyring: FileKeyring, path: Path):
    before = path.read_bytes()
    with pytest.raises(Conflict) as refusal:
        FileKeyring.create(path)
    assert refusal.value.code == "keyring-exists"
    assert path.read_bytes() == before
    keyring.current_version(RECORD)


def test_a_new_keyring_is_readable_by_its_owner_alone_whatever_the_umask(path: Path):
    before = os.umask(0)
    try:
        FileKeyring.create(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


CRASH = """
import os, sys
from pathlib import Path
from core.crypto.keyring import FileKeyring
os.replace = lambda *_: os._exit(9)
FileKeyring(Path(sys.argv[1])).add_version("record")
"""
ROTATE = """
import sys
from pathlib import Path
from core.crypto.keyring import FileKeyring
keyring = FileKeyring(Path(sys.argv[1]))
for _ in range(20):
    keyring.add_version("record")
"""


def _process(code: str, path: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", code, str(path)])


def test_a_crash_between_write_and_rename_keeps_the_old_file(keyring: FileKeyring, path: Path):
    before = path.read_bytes()
    assert _process(CRASH, path).wait() == 9
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 2
    assert keyring.add_version(RECORD) == 2
    assert list(path.parent.iterdir()) == [path]


def test_two_processes_that_rotate_at_once_lose_no_version(keyring: FileKeyring, path: Path):
    processes = [_process(ROTATE, path) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert keyring.versions(RECORD) == frozenset(range(1, 42))


def test_the_file_is_durable_before_it_is_renamed_and_the_folder_after(
    keyring: FileKeyring, monkeypatch: pytest.MonkeyPatch
):
    order: list[str] = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("rename"), replace(*names)))
    monkeypatch.setattr(
        os, "fsync", lambda fd: (order.append("dir" if _is_folder(fd) else "file"), fsync(fd))
    )
    keyring.add_version(RECORD)
    assert order == ["file", "rename", "dir"]


def _is_folder(descriptor: int) -> bool:
    return Path(f"/dev/fd/{descriptor}").is_dir()
