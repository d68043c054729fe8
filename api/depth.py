"""How deep a JSON body nests, seen while it arrives: what parses it, and what seals it, would otherwise find out."""

import re
from typing import Final

DEEPEST: Final = 32

_MARKS: Final = re.compile(rb'\\.|["\[\]{}]|\\$', re.DOTALL)


class Depth:
    """The nesting of one body, read in pieces."""

    def __init__(self) -> None:
        self._opened = 0
        self._held: list[bytes] = []
        self._depth = 0
        self._quoted = False

    def too_deep(self, piece: bytes) -> bool:
        """Tell whether the body nests too deep so far. With few brackets in all there is nothing to look for."""
        self._opened += piece.count(b"[") + piece.count(b"{")
        self._held.append(piece)
        if self._opened <= DEEPEST:
            return False
        read, self._held = b"".join(self._held), []
        return self._walk(read)

    def _walk(self, read: bytes) -> bool:
        for mark in _MARKS.finditer(read):
            sign = mark.group()
            if sign == b"\\":  # an escape that the next piece ends
                self._held = [sign]
            elif sign == b'"':
                self._quoted = not self._quoted
            elif not self._quoted and sign in b"[{":
                self._depth += 1
                if self._depth > DEEPEST:
                    return True
            elif not self._quoted and sign in b"]}":
                self._depth -= 1
        return False
