"""Canonical JSON (RFC 8785): one sequence of bytes for one value, to be hashed or sealed.

orjson with sorted keys writes that very form, thirty times faster, for all but a few values: floats, integers that a
float cannot hold, and keys that sort otherwise in UTF-16. Those go to the reference implementation. An orjson.Fragment is
a part that is canonical already.
"""

from typing import Any, Final

import orjson
import rfc8785

from core.errors import Invalid

EXACT: Final = 2**53
"""From here on, not every whole number is a float."""
_PLAIN: Final = frozenset({str, bool, type(None), orjson.Fragment})


class NotCanonical(Invalid, ValueError):
    """A value has no canonical form: readers would differ about it."""

    code = "value-not-canonical"


def canonical(value: Any) -> bytes:
    """Return the canonical form; NotCanonical for what has none (beyond 2^53, not a number, half a character)."""
    if _simple(value):
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:  # its text may quote the value
            pass
    try:
        encoded: bytes = rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        raise NotCanonical("not every reader would read the same number or text") from None
    return encoded


def _simple(value: Any) -> bool:
    """Tell whether orjson writes a value canonically. Each part is looked at in turn, without a call for it."""
    parts = [value]
    for part in parts:
        kind = type(part)
        if kind is dict:
            for key, inner in part.items():
                if type(key) is not str or not key.isascii():
                    return False
                if type(inner) not in _PLAIN:
                    parts.append(inner)
        elif kind is list:
            parts.extend(part)
        elif kind is int:
            if not -EXACT < part < EXACT:
                return False
        elif kind not in _PLAIN:
            return False
    return True
