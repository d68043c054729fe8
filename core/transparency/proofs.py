"""A proof that travels alone (c2sp.org/tlog-proof): an index, an inclusion proof, and the checkpoint it leads to."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from core.transparency.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from core.transparency.notes import BadNote, Checkpoint, Key, Note, decoded, whole_number

HEADER: Final = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Proof:
    """That the entry at `index` is in the tree of a signed checkpoint."""

    index: int
    hashes: Sequence[bytes]
    checkpoint: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a proof; BadNote for any other text."""
        head, gap, checkpoint = text.partition("\n\n")
        header, *lines = head.split("\n")
        if lines and lines[0].startswith("extra "):
            lines.pop(0)
        word, _, number = lines.pop(0).partition(" ") if lines else ("", "", "")
        if header != HEADER or not gap or word != "index":
            raise BadNote("this is no proof")
        hashes = [decoded(line) for line in lines]
        if any(len(h) != HASH_BYTES for h in hashes):
            raise BadNote("this is no proof")
        return cls(whole_number(number), hashes, checkpoint)

    def __str__(self) -> str:
        lines = [
            HEADER,
            f"index {self.index}",
            *(base64.b64encode(h).decode() for h in self.hashes),
        ]
        return "\n".join(lines) + "\n\n" + self.checkpoint

    def holds(self, entry: bytes, key: Key) -> bool:
        """Tell whether it shows that the log with this key holds the entry."""
        note = Note.parse(self.checkpoint)
        head = Checkpoint.parse(note.text)
        leaf = leaf_hash(entry)
        return (
            head.origin == key.name
            and note.signed_by(key)
            and verify_inclusion(self.index, head.size, leaf, self.hashes, head.root)
        )
