"""Merkle trees of RFC 6962: hashes, roots, and the two proofs. Pure functions over hashes; where these are kept is no matter.

A range [start, stop) of leaves is written as the perfect subtrees it is made of, left to right, each as (height, index): the
`index`-th subtree of 2^height leaves. Only perfect subtrees never change, so only they are ever stored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeAlias

HASH_BYTES: Final = 32
EMPTY: Final = sha256(b"").digest()
"""The root of a tree without leaves."""

Span: TypeAlias = tuple[int, int]
"""Leaves from the first number up to, not including, the second."""
Node: TypeAlias = tuple[int, int]
"""A perfect subtree: height, and index among those of its height."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry: no leaf's hash can be an inner node's."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def folded(roots: Sequence[bytes]) -> bytes:
    """Return the root over neighbouring perfect subtrees that shrink from left to right."""
    if not roots:
        return EMPTY
    *rest, root = roots
    for left in reversed(rest):
        root = node_hash(left, root)
    return root


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over 2^n hashes of one height."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


def perfect(span: Span) -> Iterator[Node]:
    """Yield the perfect subtrees of a span, left to right, the largest that fit."""
    start, stop = span
    while start < stop:
        height = (stop - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        yield height, start >> height
        start += 1 << height


@dataclass(slots=True)
class Growth:
    """A tree that only grows: its size, and the roots of its perfect subtrees, largest first."""

    size: int = 0
    roots: list[bytes] = field(default_factory=list)

    def add(self, leaf: bytes) -> Iterator[tuple[Node, bytes]]:
        """Add a leaf; yield every perfect subtree that it completes, from the leaf upwards."""
        index, height = self.size, 0
        self.roots.append(leaf)
        self.size += 1
        yield (0, index), leaf
        while index & 1:
            right, left = self.roots.pop(), self.roots.pop()
            self.roots.append(node_hash(left, right))
            index, height = index >> 1, height + 1
            yield (height, index), self.roots[-1]

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        return folded(self.roots)


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Return the spans whose roots, in this order, prove that leaf `index` is in the tree of `size` leaves."""
    if not 0 <= index < size:
        raise ValueError("no such leaf in a tree of that size")
    spans, start, stop = list[Span](), 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            spans.append((middle, stop))
            stop = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """Return the spans whose roots, in this order, prove that the tree of `old` leaves is a beginning of the one of `new`."""
    if not 0 < old <= new:
        raise ValueError(
            "a consistency proof leads from a tree with leaves to one that is not smaller"
        )
    spans, start, stop, whole = list[Span](), 0, new, True
    while stop != old:
        middle = start + _split(stop - start)
        if old <= middle:
            spans.append((middle, stop))
            stop = middle
        else:
            spans.append((start, middle))
            start, whole = middle, False
    if not whole:
        spans.append((start, stop))
    return spans[::-1]


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> bool:
    """Tell whether a proof shows that `leaf` stands at `index` under `root` (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        return False
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether a proof shows that nothing before `old` was changed (RFC 9162 §2.1.4.2).

    An empty old tree is a beginning of every tree and so proves nothing: it is refused.
    """
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    was = now = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            was, now = node_hash(sibling, was), node_hash(sibling, now)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            now = node_hash(now, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and (was, now) == (old_root, new_root)


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _are_hashes(*given: bytes) -> bool:
    return all(len(each) == HASH_BYTES for each in given)
