"""Blind indexes: equal values find each other without being readable.

A token says nothing about its value without the key, but equal tokens are seen to be equal. So an
index over few or common values gets few `bits`: many values share each token, and the candidates
are compared again after decryption.
"""

import unicodedata
from collections.abc import Sequence
from datetime import date
from typing import Final

from core.crypto.primitives import KEY_BYTES, expand, lp, mac, secret_key
from core.crypto.refusal import Unpicklable

MAX_BITS: Final = 128

_STROKED: Final = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "ħ": "h",
        "\u0131": "i",
        "æ": "ae",
        "œ": "oe",
        "þ": "th",
    }
)
"""Latin letters whose stroke or ligature Unicode does not decompose."""


class IndexKey(Unpicklable):
    """The root key of all blind indexes (one version of it)."""

    __slots__ = ("_keys", "_secret")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret_key(secret)
        self._keys: dict[bytes, bytes] = {}

    def token(self, table: str, column: str, index: str, parts: Sequence[str], bits: int) -> bytes:
        """Return the token of normalised `parts`: `bits` (1 to 128) in as few bytes, zeros behind."""
        if not 1 <= bits <= MAX_BITS:
            raise ValueError(f"a token has 1 to {MAX_BITS} bits, not {bits}")
        digest = mac(self._key(lp("confide/bidx/v1", table, column, index)), lp(*parts))
        size = -(-bits // 8)
        spare = 8 * size - bits
        return (int.from_bytes(digest[:size], "big") >> spare << spare).to_bytes(size, "big")

    def derived(self, label: str) -> bytes:
        """Return a key for another use than indexes, which `label` names; no index's key starts as this one's does."""
        return self._key(lp("confide/from-irk/v1", label))

    def _key(self, info: bytes) -> bytes:
        return self._keys.get(info) or self._keys.setdefault(
            info, expand(self._secret, info, KEY_BYTES, "sha256")
        )


def normal_text(text: str) -> str:
    """Letters and digits, without case, diacritics, punctuation and spaces: names as people type them."""
    folded = unicodedata.normalize("NFKD", text).casefold().translate(_STROKED)
    bare = "".join(filter(str.isalnum, unicodedata.normalize("NFKD", folded)))
    return unicodedata.normalize("NFKC", bare)


def normal_code(text: str) -> str:
    """Letters and digits in upper case: record numbers and document numbers."""
    upper = unicodedata.normalize("NFKC", text).upper()
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", upper)))


def normal_date(day: date) -> str:
    """YYYY-MM-DD, of a datetime too."""
    return day.isoformat()[:10]
