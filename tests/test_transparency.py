"""Merkle trees, tiles and notes agree with vectors that nobody here wrote."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.crypto.ed25519 import new_seed, verify
from core.transparency import merkle, tiles
from core.transparency.merkle import Growth, folded, leaf_hash, perfect, perfect_root
from core.transparency.notes import (
    BadNote,
    Checkpoint,
    Key,
    Note,
    Signer,
    sealed_note,
    write_secret,
)
from core.transparency.proofs import Proof
from core.transparency.tiles import entry_bundle, tile_path, tile_span
from tests.outside import outside
from tests.sealing import unbundled

VKEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"


def hashes(values: list[str] | None) -> list[bytes]:
    return [base64.b64decode(v) for v in values or []]


def cases(kind: str) -> list[Path]:
    return sorted(outside("merkle", "testdata", kind).rglob("*.json"))


def test_inclusion_proofs_are_judged_as_the_vectors_say():
    for path in cases("inclusion"):
        case = json.loads(path.read_text())
        leaf, root = hashes([case["leafHash"] or "", case["root"] or ""])
        good = merkle.verify_inclusion(
            case["leafIdx"], case["treeSize"], leaf, hashes(case["proof"]), root
        )
        assert good is not case["wantErr"], path
    assert len(cases("inclusion")) == 98


def test_consistency_proofs_are_judged_as_the_vectors_say_and_an_empty_old_tree_is_refused():
    for path in cases("consistency"):
        case = json.loads(path.read_text())
        old, new = hashes([case["root1"] or "", case["root2"] or ""])
        good = merkle.verify_consistency(
            case["size1"], case["size2"], old, new, hashes(case["proof"])
        )
        assert good is not (case["wantErr"] or case["size1"] == 0), path
    assert len(cases("consistency")) == 98


def entries(size: int) -> list[bytes]:
    if size == 0:
        return []
    path = tile_path(0, size)
    return list(unbundled(outside("tlog", "log", "tile", "entries").joinpath(path).read_bytes()))


@pytest.mark.parametrize("size", range(16))
def test_a_foreign_log_is_reproduced_byte_for_byte(size: int):
    note = Note.parse(outside("tlog", "log", f"checkpoint.{size}").read_text())
    head = Checkpoint.parse(note.text)
    tree = Growth()
    leaves = [leaf for e in entries(size) for (h, _), leaf in tree.add(leaf_hash(e)) if h == 0]
    assert note.signed_by(Key.parse(VKEY))
    assert (head.origin, head.size, head.root) == (Key.parse(VKEY).name, size, tree.root())
    assert str(head) == note.text
    if size:
        folder = outside("tlog", "log", "tile")
        assert folder.joinpath("0", tile_path(0, size)).read_bytes() == b"".join(leaves)
        bundle = folder.joinpath("entries", tile_path(0, size)).read_bytes()
        assert entry_bundle(entries(size)) == bundle


def test_ed25519_signatures_are_judged_as_wycheproof_says():
    for group in json.loads(outside("wycheproof", "ed25519_test.json").read_text())["testGroups"]:
        public = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            good = verify(public, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            assert good is (case["result"] == "valid"), case["tcId"]


def root_of(leaves: list[bytes], span: merkle.Span) -> bytes:
    parts = [(i << h, i + 1 << h) for h, i in perfect(span)]
    return folded([perfect_root(leaves[a:b]) for a, b in parts])


@given(st.integers(1, 300), st.data())
def test_every_proof_made_here_is_accepted_and_no_other(size: int, data: st.DataObject):
    leaves = [leaf_hash(bytes([i % 256, i // 256])) for i in range(size)]
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    root, was = root_of(leaves, (0, size)), root_of(leaves, (0, old))
    shown = [root_of(leaves, s) for s in merkle.inclusion_spans(index, size)]
    grown = [root_of(leaves, s) for s in merkle.consistency_spans(old, size)]
    assert merkle.verify_inclusion(index, size, leaves[index], shown, root)
    assert merkle.verify_consistency(old, size, was, root, grown)
    assert not merkle.verify_inclusion(index, size, leaf_hash(b"another"), shown, root)
    assert not merkle.verify_inclusion(index, size, leaves[index], [*shown, root], root)
    assert not merkle.verify_consistency(old, size, leaf_hash(b"another"), root, grown)


@given(st.integers(0, 700))
def test_a_growing_tree_has_the_root_of_its_leaves(size: int):
    leaves = [leaf_hash(i.to_bytes(4, "big")) for i in range(size)]
    tree = Growth()
    for leaf in leaves:
        for (height, index), found in tree.add(leaf):
            assert found == perfect_root(leaves[index << height : index + 1 << height])
    assert tree.root() == root_of(leaves, (0, size))


def test_proofs_of_what_is_not_there_are_not_made():
    for index, size in [(0, 0), (-1, 3), (3, 3)]:
        with pytest.raises(ValueError, match="no such leaf"):
            merkle.inclusion_spans(index, size)
    for old, new in [(0, 4), (5, 4), (-1, 2)]:
        with pytest.raises(ValueError, match="not smaller"):
            merkle.consistency_spans(old, new)


@pytest.mark.parametrize(
    "path", ["", "0", "00", "x001", "x000/001", "000.p/0", "000.p/256", "000.p/07", "1234"]
)
def test_a_path_that_no_tile_has_is_refused(path: str):
    with pytest.raises(ValueError, match="no tile"):
        tile_span(path)


@given(st.integers(0, 10**9), st.integers(1, 256))
def test_a_tiles_path_says_which_hashes_it_holds(number: int, width: int):
    start = number * 256
    assert tile_span(tile_path(number, width)) == (start, start + width)


def test_the_paths_of_tiles_are_those_of_the_standard():
    assert tile_path(1234067) == "x001/x234/067"
    assert tile_path(5, 17) == "005.p/17"
    assert tiles.width_at(1, 70_000) == 273


def test_a_note_is_vouched_for_by_who_signed_it_and_by_nobody_else():
    signer, other = (
        Signer("clinic.example/log", new_seed()),
        Signer("clinic.example/log", new_seed()),
    )
    text = str(Checkpoint(signer.name, 7, leaf_hash(b"x")))
    note = Note.parse(sealed_note(signer, text, 1_700_000_000))
    assert note.signed_by(signer.key)
    assert note.time_of(signer.cosigner) == 1_700_000_000
    assert not note.signed_by(other.key)
    changed = Note(note.text.replace("7", "8"), note.signatures)
    assert not changed.signed_by(signer.key)
    assert changed.time_of(signer.cosigner) is None


def test_keys_survive_being_written_down():
    seed = new_seed()
    signer = Signer.parse(write_secret("clinic.example/log", seed))
    assert Key.parse(str(signer.key)) == signer.key
    assert Key.parse(VKEY).id.hex() == "33d7b496"
    with pytest.raises(BadNote):
        Key.parse(VKEY.replace("33d7", "33d8"))


def test_a_proof_travels_alone():
    signer = Signer("clinic.example/log", new_seed())
    leaves = [leaf_hash(bytes([i])) for i in range(5)]
    text = str(Checkpoint(signer.name, 5, root_of(leaves, (0, 5))))
    path = [root_of(leaves, s) for s in merkle.inclusion_spans(2, 5)]
    proof = Proof.parse(str(Proof(2, path, sealed_note(signer, text, 1))))
    assert proof.holds(bytes([2]), signer.key)
    assert not proof.holds(bytes([3]), signer.key)
    assert not proof.holds(bytes([2]), Signer("clinic.example/log", new_seed()).key)


@pytest.mark.parametrize(
    "text", ["", "wrong\nindex 0\n\nc\n", "c2sp.org/tlog-proof@v1\nindex 00\n\nc\n",
             "c2sp.org/tlog-proof@v1\nindex -1\n\nc\n", "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nc\n"],
)  # fmt: skip
def test_what_is_no_proof_is_refused(text: str):
    with pytest.raises(BadNote):
        Proof.parse(text)
