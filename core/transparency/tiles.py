"""Tiles of a log (c2sp.org/tlog-tiles): 256 hashes of one level, and the bundles of the entries beneath level 0."""

import re
from collections.abc import Iterable
from typing import Final

from core.transparency.merkle import Node, Span

WIDTH: Final = 256
HEIGHT: Final = 8
"""A tile of level L holds roots of perfect subtrees of 256^L leaves."""
MOST_LEVELS: Final = 8
_PATH: Final = re.compile(r"(?P<number>(?:x\d{3}/)*\d{3})(?:\.p/(?P<width>[1-9]\d{0,2}))?")


def tile_span(path: str) -> Span:
    """Return which hashes of its level a tile's path asks for, as in `x001/234` or `000.p/17`; ValueError for no path."""
    found = _PATH.fullmatch(path)
    if not found:
        raise ValueError("no tile has such a path")
    number = int(found["number"].replace("x", "").replace("/", ""))
    width = int(found["width"] or WIDTH)
    if tile_path(number, found["width"] and width) != path or width > WIDTH:
        raise ValueError("no tile has such a path")
    return number * WIDTH, number * WIDTH + width


def tile_path(number: int, width: int | str | None = None) -> str:
    """Return the path of a tile: three digits a step, all but the last marked by an x; a partial one ends in its width."""
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    steps = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    path = "/".join([*(f"x{step}" for step in steps[:-1]), steps[-1]])
    return f"{path}.p/{width}" if width and int(width) < WIDTH else path


def width_at(level: int, size: int) -> int:
    """Return how many hashes a level has in a tree of `size` leaves."""
    return size >> HEIGHT * level


def stored_at(node: Node) -> tuple[int, Span]:
    """Return the level, and the span in it, whose hashes make up the root of a perfect subtree."""
    height, index = node
    level, rest = divmod(height, HEIGHT)
    return level, (index << rest, index + 1 << rest)


def entry_bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries one after another, each with its length in two bytes before it."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)
